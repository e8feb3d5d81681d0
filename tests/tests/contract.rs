//! What the macros refuse they refuse with a hint, each wrong contract compiled for real; and what would make two builds
//! mean something else by one type changes its fingerprint.

use plugind_abi::stable::StableType;
use plugind_tests::{Home, Refusals, Refused};

/// What is refused of contracts, of types, and of what a program offers.
const REFUSED: &[Refused] = &[
    // Types.
    (
        "struct In; CONTRACT { fn f(input: &In); }",
        "derive(StableType)",
        "#[derive(StableType)] pub struct In; CONTRACT { fn f(input: &In); }",
    ),
    (
        "#[derive(StableType)] struct In { child: std::process::Command } CONTRACT { fn f(); }",
        "unsafe_opaque",
        "#[derive(StableType)] struct In { #[stable_type(unsafe_opaque = \"one release\")] child: std::process::Command } \
         CONTRACT { fn f(); }",
    ),
    (
        "#[derive(StableType)] struct In { #[stable_type(unsafe_opaque = \"\")] child: std::process::Command }",
        "say why",
        "#[derive(StableType)] struct In { started: std::time::Instant }",
    ),
    (
        "#[derive(StableType)] struct In { #[stable_type(opaque)] a: u8 }",
        "by_name",
        "#[derive(StableType)] struct In { a: u8 }",
    ),
    (
        "#[derive(StableType)] #[stable_type(by_name)] struct In { a: u8 }",
        "stands on a field",
        "#[derive(StableType)] struct In { next: Option<Box<In>>, all: Vec<Self> }",
    ),
    (
        "#[derive(StableType)] struct In { run: fn() }",
        "a function pointer points into one version's code",
        "#[derive(StableType)] enum In { Run }",
    ),
    (
        "#[derive(StableType)] struct In { run: Vec<Box<dyn Fn() + Send>> }",
        "a trait object points into one version's code",
        "#[derive(StableType)] struct In { run: Vec<Box<u8>> }",
    ),
    (
        "#[derive(StableType)] struct In { name: Option<&'static str> }",
        "own the value",
        "#[derive(StableType)] struct In { name: Option<String> }",
    ),
    (
        "#[derive(StableType)] struct In { at: *const u8 }",
        "a raw pointer",
        "#[derive(StableType)] struct In { at: usize }",
    ),
    (
        "type F = fn(); #[derive(StableType)] struct In { run: F }",
        "function pointers never can",
        "type F = u8; #[derive(StableType)] struct In { run: F }",
    ),
    (
        "#[derive(StableType)] pub struct A { #[stable_type(by_name)] b: Vec<B> } #[derive(StableType)] pub struct B { a: u8 } \
         CONTRACT { fn f(a: &A); }",
        "described nowhere",
        "#[derive(StableType)] pub struct A { b: Vec<B> } \
         #[derive(StableType)] pub struct B { #[stable_type(by_name)] a: Vec<A> } CONTRACT { fn f(a: &A); }",
    ),
    (
        "CONTRACT { fn f(input: &std::sync::Arc<u8>); }",
        "own the same memory",
        "CONTRACT { fn f(input: &Box<u8>); }",
    ),
    (
        "CONTRACT { fn f() -> Vec<std::rc::Rc<u8>>; }",
        "own the same memory",
        "CONTRACT { fn f() -> Vec<u8>; }",
    ),
    (
        "CONTRACT { fn f(input: &std::cell::RefCell<Vec<u8>>); }",
        "own the same memory",
        "CONTRACT { fn f(input: &std::cell::RefCell<[u8; 4]>); }",
    ),
    (
        "#[derive(StableType)] union In { a: u8 } CONTRACT { fn f(); }",
        "which field is valid",
        "#[derive(StableType)] enum In { A(u8) } CONTRACT { fn f(); }",
    ),
    (
        "CONTRACT { fn f(input: &dyn Clone); }",
        "trait object",
        "CONTRACT { fn f(input: &String); }",
    ),
    (
        "CONTRACT { fn f(input: impl Clone); }",
        "name the type",
        "CONTRACT { fn f(input: String); }",
    ),
    (
        "CONTRACT { fn f(input: &mut Vec<u8>); }",
        "pass a slice",
        "CONTRACT { fn f(input: &mut [u8]); }",
    ),
    (
        "CONTRACT { fn f(input: Self) -> u8; }",
        "`Self` stands only as `Self::State`",
        "CONTRACT { fn f(input: u8) -> u8; }",
    ),
    // Lifetimes.
    (
        "CONTRACT { fn f(of: &u8) -> &u8; }",
        "how long a reference lives",
        "CONTRACT { fn f(of: &u8) -> u8; }",
    ),
    (
        "CONTRACT { fn f(text: &'static str); }",
        "leave the lifetime out",
        "CONTRACT { fn f(text: &str); }",
    ),
    (
        "CONTRACT { fn f(text: &str) -> Option<&str>; }",
        "lifetime",
        "CONTRACT { fn f(text: &str) -> Option<String>; }",
    ),
    (
        "#[derive(StableType)] pub struct P<'a>(&'a str); CONTRACT { fn f(text: &str) -> P; }",
        "lifetime",
        "#[derive(StableType)] pub struct P<'a>(&'a str); CONTRACT { fn f(part: &P<'_>); }",
    ),
    // Functions.
    (
        "CONTRACT { unsafe fn f(); }",
        "plain one",
        "CONTRACT { fn f(); }",
    ),
    (
        "CONTRACT { extern \"C\" fn f(); }",
        "plain one",
        "CONTRACT { fn f(); }",
    ),
    (
        "CONTRACT { async fn f(); }",
        "not async",
        "CONTRACT { fn f(); }",
    ),
    (
        "CONTRACT { #[cfg(unix)] fn f(); }",
        "a default body makes it optional",
        "CONTRACT { fn r#type(r#fn: u8) -> u8; fn f(mut n: u8) -> u8 { n += 1; n } }",
    ),
    (
        "CONTRACT { fn f<T>(input: &T); }",
        "generic parameters",
        "CONTRACT { fn f(input: &u8); }",
    ),
    (
        "CONTRACT { fn f((a, b): (u8, u8)); }",
        "plain name",
        "CONTRACT { fn f(pair: (u8, u8)); }",
    ),
    // The state.
    (
        "CONTRACT { fn f(&mut self); }",
        "Self::State",
        "CONTRACT { type State; fn f(state: &mut Self::State); fn start() -> Self::State; }",
    ),
    (
        "CONTRACT { type State; fn f(state: &Self::State); }",
        "exactly one function",
        "CONTRACT { type State; fn f(state: &Self::State); fn start() -> Self::State; }",
    ),
    (
        "CONTRACT { type State; fn start(seed: u8) -> Self::State; }",
        "has no arguments",
        "CONTRACT { type State; fn start() -> Self::State; }",
    ),
    (
        "CONTRACT { type State; fn start() -> Self::State; fn f(a: u8, state: &Self::State); }",
        "only as the first argument",
        "CONTRACT { type State; fn start() -> Self::State; fn f(state: &Self::State, a: u8); }",
    ),
    (
        "CONTRACT { type State: Clone; fn start() -> Self::State; }",
        "without bounds",
        "CONTRACT { type State; fn start() -> Self::State; }",
    ),
    (
        "CONTRACT { type Other; fn f(); }",
        "at most `type State;`",
        "CONTRACT { fn f(); }",
    ),
    // Optional functions.
    (
        "CONTRACT { type State; fn start() -> Self::State; fn f(s: &Self::State) -> u8 { drop(s); 1 } }",
        "cannot look into the plugin's state",
        "CONTRACT { type State; fn start() -> Self::State; fn f(s: &Self::State) -> u8 { 1 } }",
    ),
    (
        "CONTRACT { fn f() -> u8 { Self::g() } fn g() -> u8; }",
        "use the other arguments only",
        "CONTRACT { fn f(a: u8) -> u8 { a } fn g() -> u8; }",
    ),
    (
        "CONTRACT { type State; fn start() -> Self::State { loop {} } }",
        "no default body",
        "CONTRACT { type State; fn start() -> Self::State; }",
    ),
    // The trait.
    (
        "#[contract] pub trait Game<T> { fn f(); }",
        "no generic parameters",
        "#[contract] pub trait Game { fn f(); }",
    ),
    (
        "#[contract] pub trait Game: Send { fn f(); }",
        "no supertraits",
        "#[contract] pub trait Game { fn f(); }",
    ),
    (
        "#[contract(fast)] pub trait Game { fn f(); }",
        "no arguments",
        "#[contract] pub trait Game { fn f(); }",
    ),
    // What a program offers.
    (
        "HOST { fn f(); }",
        "takes `&self` or `&mut self` first",
        "HOST { fn f(&self); }",
    ),
    (
        "HOST { fn f(self); }",
        "takes `&self` or `&mut self`",
        "HOST { fn f(&mut self); }",
    ),
    (
        "HOST { fn new(&mut self); }",
        "another name",
        "HOST { fn renew(&mut self, data: &[u8], data_len: usize); }",
    ),
    (
        "HOST { fn f(&self); } CONTRACT { fn g(engine: &mut Option<EngineRef<'_>>); }",
        "inside another type",
        "HOST { fn f(&self); } CONTRACT { fn g(engine: &mut EngineRef<'_>, all: &mut [EngineRef<'_>]); }",
    ),
    (
        "HOST { fn f(&self) {} }",
        "no default body",
        "HOST { fn f(&self); }",
    ),
    (
        "HOST { const N: u8; fn f(&self); }",
        "are functions",
        "HOST { fn f(&self) -> u8; }",
    ),
    (
        "HOST { fn f(&mut self, to: &mut String); }",
        "pass a slice",
        "HOST { fn f(&mut self, to: &mut [u8]); }",
    ),
    (
        "HOST { fn f(&mut self) -> &str; }",
        "how long a reference lives",
        "HOST { fn f(&mut self) -> String; }",
    ),
    (
        "#[host] pub trait Engine: Send { fn f(&self); }",
        "no supertraits",
        "HOST { fn f(&self); } CONTRACT { fn g(engine: &mut EngineRef<'_>); }",
    ),
    (
        "#[host(fast)] pub trait Engine { fn f(&self); }",
        "`#[host]` takes no arguments",
        "HOST { fn f(&self); }",
    ),
    (
        "#[host] pub trait Engine<T> { fn f(&self); }",
        "what a program offers has no generic parameters",
        "HOST { fn f(&self); }",
    ),
    // However deep it stands.
    (
        "CONTRACT { fn f() -> Result<(), Box<dyn std::error::Error + Send>>; }",
        "return an enum that derives `StableType`, or a `String`",
        "CONTRACT { fn f() -> Result<(), String>; }",
    ),
    (
        "CONTRACT { fn f(all: Vec<(u8, Box<dyn Fn() + Send>)>); }",
        "a trait object cannot cross",
        "CONTRACT { fn f(all: Vec<(u8, Box<u8>)>); }",
    ),
    (
        "CONTRACT { fn f(run: &[fn()]); }",
        "a function pointer cannot cross a plugin's boundary",
        "CONTRACT { fn f(run: &[u8]); }",
    ),
    (
        "CONTRACT { fn f(all: Vec<Self>); }",
        "`Self` stands only as `Self::State`",
        "CONTRACT { fn f(all: Vec<u8>); }",
    ),
    (
        "CONTRACT { fn f(text: &mut str); }",
        "take a `&str` and return a `String`",
        "CONTRACT { fn f(text: &str) -> String; }",
    ),
    // At the type, and not at the attribute.
    (
        "#[derive(StableType)] pub struct Out; CONTRACT { fn f() -> Out; }",
        "src/lib.rs:3:78",
        "#[derive(StableType, Clone)] pub struct Out; CONTRACT { fn f() -> Out; }",
    ),
    (
        "CONTRACT { fn f(text: &mut String); }",
        "src/lib.rs:3:46",
        "CONTRACT { fn f(text: &mut u8); }",
    ),
    // The state.
    (
        "CONTRACT { fn f() -> Self::State; }",
        "add `type State;` to the trait",
        "CONTRACT { type State; fn f() -> Self::State; }",
    ),
    (
        "CONTRACT { fn f(state: &mut Self::State); }",
        "add `type State;` to the trait",
        "CONTRACT { type State; fn f() -> Self::State; fn g(state: &mut Self::State); }",
    ),
    (
        "CONTRACT { type State; fn f() -> Result<Self::State, String>; }",
        "returns `Self::State` itself",
        "CONTRACT { type State; fn f() -> Self::State; }",
    ),
    (
        "#[contract] pub unsafe trait Game { fn f(); }",
        "a contract is a safe trait",
        "CONTRACT { fn f(); }",
    ),
];

/// The same of plugins.
const REFUSED_PLUGINS: &[Refused] = &[
    (
        "#[plugin(own_alocator)] impl Act for Actor { fn f() {} }",
        "is `own_allocator`",
        "PLUGIN { fn f() {} }",
    ),
    (
        "#[plugin(own_allocator = true)] impl Act for Actor { fn f() {} }",
        "is `own_allocator`",
        "PLUGIN { fn f() {} }",
    ),
    // The crate of these has the system's allocator.
    (
        "#[plugin(own_allocator)] impl Act for Actor { fn f() {} }",
        "features = [\"own_allocator\"]",
        "PLUGIN { fn f() {} }",
    ),
    (
        "#[plugin] impl Actor { fn f() {} } type A = dyn Act;",
        "impl Contract for Type",
        "PLUGIN { fn f() {} }",
    ),
    (
        "#[plugin] impl<T: 'static> Act for (Actor, T) { fn f() {} }",
        "write one for each type",
        "#[plugin] impl Act for (Actor, u8) { fn f() {} }",
    ),
    (
        "trait Plain { fn f(&self); } #[plugin] impl Plain for Actor { fn f(&self) {} } type A = dyn Act;",
        "put `#[contract]` on the trait",
        "PLUGIN { fn f() {} }",
    ),
    (
        "CONTRACT { type State; fn f() -> Self::State; } pub struct World; \
         #[plugin] impl Game for u8 { type State = World; fn f() -> World { World } }",
        "`World` cannot cross a plugin's boundary",
        "CONTRACT { type State; fn f() -> Self::State; } #[derive(StableType)] pub struct World; \
         #[plugin] impl Game for u8 { type State = World; fn f() -> World { World } }",
    ),
];

#[test]
fn what_cannot_cross_is_refused_with_a_hint() {
    let home = Home::new();
    let mut refusals = Refusals::new(&home);
    refusals.check(&[REFUSED, REFUSED_PLUGINS].concat());
    // Who adds a refusal adds a use that is refused.
    let unsaid = refusals.unsaid();
    assert!(unsaid.is_empty(), "nothing here is told {unsaid:#?}");
}

/// Two definitions of one type, each as its own build would see it.
macro_rules! differ {
    ($what:literal, {$($first:tt)*} {$($second:tt)*}) => {{
        mod first {
            #![allow(dead_code, unreachable_pub)]
            #[derive(plugind_macros::StableType)]
            $($first)*
        }
        mod second {
            #![allow(dead_code, unreachable_pub)]
            #[derive(plugind_macros::StableType)]
            $($second)*
            #[allow(unused_imports)]
            use super::BASE;
        }
        assert_ne!(
            first::T::FINGERPRINT,
            second::T::FINGERPRINT,
            "{} makes another type",
            $what
        );
    }};
}

/// What the discriminants below count from.
pub const BASE: u8 = 5;

#[test]
fn what_makes_another_type_makes_another_fingerprint() {
    differ!("a field added", { pub struct T { a: u32 } } { pub struct T { a: u32, b: u32 } });
    differ!("a field renamed", { pub struct T { a: u32 } } { pub struct T { b: u32 } });
    differ!("a field retyped", { pub struct T { a: u32 } } { pub struct T { a: i32 } });
    differ!("fields reordered", { #[repr(C)] pub struct T { a: u8, b: u32 } } { #[repr(C)] pub struct T { b: u32, a: u8 } });
    differ!("a representation", { pub enum T { A(u8, u16, bool) } } { #[repr(u8)] pub enum T { A(u8, u16, bool) } });
    differ!("packing", { #[repr(C)] pub struct T { a: u8, b: u32 } } { #[repr(C, packed)] pub struct T { a: u8, b: u32 } });
    differ!("a variant added", { pub enum T { A, B } } { pub enum T { A, B, C } });
    differ!("a discriminant", { #[repr(u8)] pub enum T { A = 0, B = 1 } } { #[repr(u8)] pub enum T { A = BASE, B = BASE + 1 } });
    differ!("another type of the same name", { pub struct T { a: Score } type Score = u32; } { pub struct T { a: Score } type Score = u64; });
    differ!("a generic argument", { pub struct T(G<u8>); #[derive(plugind_macros::StableType)] pub struct G<A>(Vec<A>); } { pub struct T(G<i8>); #[derive(plugind_macros::StableType)] pub struct G<A>(Vec<A>); });
    differ!("the length of an array", { pub struct T([(); 1]); } { pub struct T([(); 2]); });
    differ!("where a recursion goes", { pub struct T(Vec<T>, Vec<u8>); } { pub struct T(Vec<u8>, Vec<T>); });
    differ!("words for a foreign type", { pub struct T(#[stable_type(unsafe_opaque = "a")] u8); } { pub struct T(#[stable_type(unsafe_opaque = "b")] u8); });
    differ!("a foreign type's size", { pub struct T(#[stable_type(unsafe_opaque = "a")] A, u64); type A = u8; } { pub struct T(#[stable_type(unsafe_opaque = "a")] A, u64); type A = u16; });
    differ!("a destructor", { pub struct T(u32); } { pub struct T(u32); impl Drop for T { fn drop(&mut self) {} } });
}

#[test]
fn what_looks_the_same_to_the_compiler_is_the_same_type() {
    mod first {
        #![allow(dead_code, unreachable_pub)]
        #[derive(plugind_macros::StableType)]
        pub struct T {
            a: u32,
        }
    }
    mod second {
        #![allow(dead_code, unreachable_pub)]
        type Score = u32;
        /// With another text.
        #[derive(Debug, Clone, plugind_macros::StableType)]
        pub struct T {
            a: Score,
        }
    }
    assert_eq!(first::T::FINGERPRINT, second::T::FINGERPRINT);
}
