//! What a call costs, each way of making it, on one function of a plugin: a step of a linear congruential generator,
//! each from the one before, so that no two calls overlap.
//!
//! Says the medians, and how often the bare pointer's they are. Program and plugin are release builds.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use criterion::Criterion;
use plugind_abi::contract::Implementation;
use plugind_abi::registration::{Registration, Registry};
use plugind_client::{Client, Symbol};
use plugind_tests::{DEADLINE, Home, embed, say, scratch, sdk_plugin};

macro_rules! both {
    ($($contract:tt)*) => {
        $($contract)*
        const CONTRACT: &str = stringify!($($contract)*);
    };
}

both! {
    use plugind_macros::contract;

    /// One step.
    #[contract]
    pub trait Steps {
        /// None is needed; an instance has one.
        type State;
        /// Makes it.
        fn start() -> Self::State;
        /// One step from here.
        fn step(state: &Self::State, from: u64) -> u64;
    }
}

type Step = extern "C" fn(u64) -> u64;

/// The constants are Knuth's (MMIX).
const PLUGIN: &str = r"
    use plugind_macros::plugin;

    extern $C$ fn step(from: u64) -> u64 {
        from.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
    }
    plugind_plugin::register! { step }

    struct Plain;

    #[plugin]
    impl Steps for Plain {
        type State = u32;
        fn start() -> u32 { 0 }
        fn step(_state: &u32, from: u64) -> u64 { step(from) }
    }
";

/// The same plugin, linked into this program as `link!` does it.
struct Here;

/// Inlined, the loop around it would be folded into a few instructions.
#[inline(never)]
fn step_here(from: u64) -> u64 {
    from.wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
}

impl Steps for Here {
    type State = u32;
    fn start() -> u32 {
        0
    }
    fn step(_state: &u32, from: u64) -> u64 {
        step_here(from)
    }
}

static REGISTRY: Registry = Registry::new(None);
static HERE: Implementation = Implementation::of::<dyn Steps, Here>();
static NODE: Registration = Registration::new("here", "0.1.0", &[]).implementing(&HERE);

/// So many steps in a row.
fn chain(steps: u64, mut step: impl FnMut(u64) -> u64) -> Duration {
    let started = Instant::now();
    let mut at = 1;
    for _ in 0..steps {
        at = step(at);
    }
    black_box(at);
    started.elapsed()
}

/// So many times the same, which need not wait for one another.
fn repeat(times: u64, mut one: impl FnMut()) -> Duration {
    let started = Instant::now();
    for _ in 0..times {
        one();
    }
    started.elapsed()
}

fn main() {
    let home = Home::new();
    let folder = home.work().join("plugins");
    fs::create_dir(&folder).expect("the folder to watch");
    let source = CONTRACT.to_owned() + &PLUGIN.replace('$', "\"");
    sdk_plugin(
        &folder.join("libsteps.so"),
        "steps",
        &source,
        &["--release"],
    );
    let client = embed(&home, &folder, DEADLINE);
    let plugin = client.plugin("steps").expect("the plugin");
    let mut instance = client.start::<dyn Steps>("steps").expect("an instance");
    // SAFETY: the plugin above registers `step` with this type.
    let symbol: Symbol<Step> = unsafe { plugin.current().lookup(c"step") }.expect("a step");
    let bare: Step = black_box(*symbol);
    let mut reader = client.reader();
    REGISTRY.push(&NODE);
    let linked = Client::linked(&REGISTRY).expect("the plugin in this program");
    let linked = linked.start::<dyn Steps>("here").expect("an instance");

    let results = scratch().join("criterion");
    let _ = fs::remove_dir_all(&results);
    let mut criterion = Criterion::default()
        .without_plots()
        .output_directory(&results)
        .configure_from_args();
    let mut names = Vec::new();
    let mut measure = |name: &'static str, step: &mut dyn FnMut(u64) -> Duration| {
        names.push(name);
        criterion.bench_function(name, |bencher| bencher.iter_custom(&mut *step));
    };
    measure("bare pointer", &mut |steps| chain(steps, |at| bare(at)));
    measure("held symbol", &mut |steps| chain(steps, |at| symbol(at)));
    measure("contract", &mut |steps| {
        chain(steps, |at| instance.step(at).expect("a step"))
    });
    measure("linked in, contract", &mut |steps| {
        chain(steps, |at| linked.step(at).expect("a step"))
    });
    measure("linked in, call in Rust", &mut |steps| {
        chain(steps, step_here)
    });
    // A program enters once per frame or request; these enter for every call.
    measure("reader entered, held symbol", &mut |steps| {
        chain(steps, |at| {
            let frame = reader.enter();
            black_box(frame.table(&plugin));
            symbol(at)
        })
    });
    measure("reader entered, bound table", &mut |steps| {
        chain(steps, |at| {
            let frame = reader.enter();
            let bound = frame.table(&plugin).bind::<dyn Steps>();
            black_box(bound.expect("it fits"));
            symbol(at)
        })
    });
    measure("reader entered, looked up by name", &mut |steps| {
        chain(steps, |at| {
            let frame = reader.enter();
            // SAFETY: as above.
            let symbol = unsafe { frame.table(&plugin).lookup::<Step>(c"step") };
            symbol.expect("a step")(at)
        })
    });
    // Alone, with nothing new to find.
    let mut cache = Cache::new(Arc::new(ArcSwap::from_pointee(1)));
    measure("refresh, arc-swap's cache", &mut |times| {
        repeat(times, || {
            black_box(cache.load());
        })
    });
    measure("refresh, reader", &mut |times| {
        repeat(times, || drop(reader.enter()))
    });
    measure("refresh, view", &mut |times| {
        repeat(times, || drop(client.snapshot()))
    });
    measure("refresh, sync", &mut |times| {
        repeat(times, || drop(black_box(client.sync([&mut instance]))))
    });
    measure("synchronised, contract", &mut |steps| {
        chain(steps, |at| {
            client.sync([&mut instance]);
            instance.step(at).expect("a step")
        })
    });
    criterion.final_summary();
    ratios(&results, &names);
}

/// Compares what was measured now; nothing was if benches were only listed or tried.
fn ratios(results: &Path, names: &[&str]) {
    let median = |name: &str| {
        let estimates = results.join(name).join("new/estimates.json");
        let text = fs::read_to_string(estimates).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        json["median"]["point_estimate"].as_f64()
    };
    let Some(bare) = names.first().and_then(|name| median(name)) else {
        return;
    };
    for name in names {
        if let Some(ns) = median(name) {
            say(&format!("{name:35}{ns:10.2} ns{:10.2} x", ns / bare));
        }
    }
}
