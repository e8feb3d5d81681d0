//! Contracts: a trait that the program and its plugins compile, so that neither writes `unsafe`.
//!
//! Three crates, here in one. The contract depends on `plugind-abi` and `plugind-macros`, the plugin on these, the
//! contract and `plugind-plugin`, the program on the contract and this crate.
//!
//! ```no_run
//! # mod contract {
//! use plugind_macros::{StableType, contract};
//!
//! #[derive(StableType)]
//! #[repr(C)]
//! pub struct Input {
//!     pub left: bool,
//!     pub right: bool,
//! }
//!
//! #[contract]
//! pub trait Game {
//!     /// What lives from call to call and from version to version; only the plugin knows what it is.
//!     type State;
//!     fn start() -> Self::State;
//!     fn update(state: &mut Self::State, input: &Input);
//!     fn title(state: &Self::State) -> String;
//! }
//! # }
//!
//! # mod plugin {
//! # use super::contract::{Game, Input};
//! use plugind_macros::{StableType, plugin};
//!
//! #[derive(StableType)]
//! pub struct World {
//!     steps: u32,
//! }
//!
//! struct Walk;
//!
//! #[plugin]
//! impl Game for Walk {
//!     type State = World;
//!     fn start() -> World {
//!         World { steps: 0 }
//!     }
//!     fn update(world: &mut World, input: &Input) {
//!         world.steps += u32::from(input.left) + u32::from(input.right);
//!     }
//!     fn title(world: &World) -> String {
//!         format!("{} steps", world.steps)
//!     }
//! }
//! # }
//!
//! # use contract::{Game, Input};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = plugind_client::Client::watch("./target")?;
//! let mut game = client.start::<dyn Game>("walk")?;
//! loop {
//!     client.sync([&mut game]); // the frame's boundary: the newest version, with the state
//!     game.update(&Input { left: true, right: false })?;
//!     println!("{}: {}", game.version(), game.title()?);
//! #   break;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What happens at a new version
//!
//! Before any of it runs, what it declares in its file is compared with the program's contract, all or nothing; a version
//! that does not fit is not opened, and what differs is told by function, type and field:
//!
//! ```text
//! walk v2 is not used: it does not fit the contract `Game`: field `jump: bool` was added to `Input` after `right`;
//! rebuild the host with the plugin's contract
//! ```
//!
//! If it fits none of the programs that use the plugin now, it is rejected for all of them, and looked at again when
//! another program starts. At the next [`Client::sync`](crate::Client::sync) the state is handed over as it
//! is if both versions mean the same by its type. Otherwise the instance stays with its version. Either way the outcome
//! is `Kept` and says why, and the version is not `live` here.
//!
//! A panic ends the call and not the program: the method gives a [`Fault`](crate::Fault) with the message and its place.
//! What the state went through until then stays done.
//!
//! # An allocator of one's own
//!
//! A state that is handed over is freed by another version than made it. So all versions allocate from the system, and a
//! plugin with a `#[global_allocator]` does not compile. One that needs it says so twice, in `Cargo.toml` and at its
//! implementation:
//!
//! ```toml
//! plugind-plugin = { version = "0.1", features = ["own_allocator"] }
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::{contract, plugin};
//! # #[contract]
//! # trait Game {
//! #     fn update();
//! # }
//! # struct Breakout;
//! #[plugin(own_allocator)]
//! impl Game for Breakout {
//!     fn update() {}
//! }
//! # fn main() {}
//! ```
//!
//! (Here, where the feature is not asked for, this does not compile either.) Its state is then never handed over: an instance stays with the version that made it, and the outcome is `Kept`; so it
//! is on the way to such a version and on the way back. What starts later is the new version's. Arguments and results
//! need no care, because an owned value never changes sides.
//!
//! Cargo builds `plugind-plugin` once for all plugins of one `cargo build`, with the features that any of them asks for,
//! and nothing tells inside which plugin asked: the states of the others in that build are not handed over either. Build
//! such a plugin apart, with `-p` or in a workspace of its own.
//!
//! # A contract grows
//!
//! A function with a default body is optional. Where a plugin lacks it the program runs the body, without the plugin's
//! state; so a program may ask for more than the plugins that were built before know.
//!
//! # What a program offers
//!
//! A trait under `#[host]` is implemented by a type of the program, and lent to a plugin for one call:
//!
//! ```
//! use plugind_macros::{contract, host};
//!
//! #[host]
//! pub trait Engine {
//!     fn play(&mut self, sound: u32);
//! }
//!
//! #[contract]
//! pub trait Game {
//!     fn update(engine: &mut EngineRef<'_>);
//! }
//!
//! struct Audio(Vec<u32>);
//!
//! impl Engine for Audio {
//!     fn play(&mut self, sound: u32) {
//!         self.0.push(sound);
//!     }
//! }
//! # fn call(game: &GameFunctions) -> Result<(), plugind_client::Fault> {
//! let mut audio = Audio(Vec::new());
//! game.update(&mut EngineRef::new(&mut audio))?;
//! # Ok(())
//! # }
//! ```
//!
//! The plugin calls `engine.play(3)`. A panic in `play` ends the plugin's call, and the program gets `Err`. The program
//! may offer functions that the plugin does not know; a plugin that may call more than the program offers is refused
//! when it is bound, with the function's name.
//!
//! # Many plugins, and services
//!
//! [`Client::follow`](crate::Client::follow) keeps an instance of every plugin of a contract. They come, change and go
//! at `sync`, whose outcome says so; those that are built already come within the first frames.
//!
//! [`Client::bind`](crate::Client::bind) gives the functions of a contract without a state to any thread, at a
//! [`View`](crate::View) of all plugins:
//!
//! ```no_run
//! # use plugind_macros::contract;
//! # #[contract]
//! # pub trait Effect {
//! #     type State;
//! #     fn start() -> Self::State;
//! #     fn apply(state: &mut Self::State, pixels: &mut [u32]);
//! # }
//! # #[contract]
//! # pub trait Handlers {
//! #     fn respond(request: &str) -> String;
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = plugind_client::Client::watch("./target")?;
//! # let mut pixels = [0; 16];
//! let mut effects = client.follow::<dyn Effect>()?;
//! let [outcome] = client.sync([&mut effects]);
//! println!("{outcome}"); // sparks v1 joined
//! for (name, effect) in effects.iter_mut() {
//!     if let Err(fault) = effect.apply(&mut pixels) {
//!         eprintln!("{name}: {fault}");
//!     }
//! }
//!
//! let handlers = client.bind::<dyn Handlers>("handlers")?;
//! std::thread::scope(|threads| {
//!     threads.spawn(|| {
//!         let now = client.snapshot(); // one version of every plugin, until it is dropped
//!         handlers.at(&now).respond("GET /")
//!     });
//! });
//! # Ok(())
//! # }
//! ```
//!
//! # What can cross
//!
//! Numbers, `bool`, `char`, `()`, tuples of up to twelve, arrays, references, `String`, `Vec`, `VecDeque`, `BinaryHeap`,
//! `Box`, `Cow`, `Option`, `Result`, maps and sets, ranges, `PathBuf`, `Duration`, `Instant`, `SystemTime`, `NonZero`,
//! atomics, `Cell`, `PhantomData`, and what derives `StableType` and is made of such, generic or recursive. With the
//! features `glam` and `uuid` of `plugind-abi` the types of these crates.
//!
//! A state is made of them too, and of `Rc`, `Arc`, `Weak`, `RefCell`, `Mutex`, `RwLock`. Those cross in a call only around
//! what owns no memory, and the counted ones never: either side could be the one that frees it. A fallible function
//! returns a `Result`, which arrives inside the one that tells of a panic.
//!
//! A field of a foreign type says why its layout is the same in two builds of one compiler. Size, alignment and the words
//! are compared; the rest is on you:
//!
//! ```
//! use plugind_macros::StableType;
//!
//! #[derive(StableType)]
//! struct World {
//!     #[stable_type(unsafe_opaque = "std::process::Command, of one compiler")]
//!     editor: std::process::Command,
//! }
//! # fn main() {}
//! ```
//!
//! A type may mention itself by its name. Two types that mention each other name each other once, or rustc says that it
//! detected a cycle (E0391); the other way round they are described:
//!
//! ```
//! use plugind_macros::{StableType, contract};
//!
//! #[derive(StableType)]
//! pub struct Room {
//!     doors: Vec<Door>,
//! }
//! #[derive(StableType)]
//! pub struct Door {
//!     #[stable_type(by_name)]
//!     leads_to: Option<Box<Room>>,
//! }
//! #[contract]
//! pub trait Map {
//!     fn rooms(of: &Room) -> u32;
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::{StableType, contract};
//! # #[derive(StableType)]
//! # pub struct Room {
//! #     doors: Vec<Door>,
//! # }
//! # #[derive(StableType)]
//! # pub struct Door {
//! #     #[stable_type(by_name)]
//! #     leads_to: Option<Box<Room>>,
//! # }
//! #[contract]
//! pub trait Map {
//!     fn rooms(of: &Door) -> u32; // nothing here describes a room
//! }
//! # fn main() {}
//! ```
//!
//! Arguments are references, `&str`, slices, or values that are `Clone`; results are values that are `Clone`. Every type
//! implements `StableType`. An owned value never changes sides: an argument is cloned by the plugin, a result by the
//! program, and each side drops what it made, with its own allocator.
//!
//! If every type of a function is `#[repr(C)]` or primitive, plugin and program may be built by different compilers;
//! otherwise the compilers must be the same, and a difference is refused by name.
//!
//! # What does not compile
//!
//! A type that says nothing of its layout:
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! struct Input;
//! #[contract]
//! trait Game {
//!     fn update(input: &Input);
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::{StableType, contract};
//! #[derive(StableType)]
//! struct Input;
//! #[contract]
//! trait Game {
//!     fn update(input: &Input);
//! }
//! # fn main() {}
//! ```
//!
//! A field whose type says nothing:
//!
//! ```compile_fail
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! struct Input {
//!     editor: std::process::Command,
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! struct Input {
//!     started: std::time::Instant,
//! }
//! # fn main() {}
//! ```
//!
//! Types that lead back to each other, an enum and a struct here, none of which is `by_name`:
//!
//! ```compile_fail,E0391
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! enum Shape {
//!     Dot,
//!     Group(Vec<Placed>),
//! }
//! #[derive(StableType)]
//! struct Placed {
//!     shape: Shape,
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! enum Shape {
//!     Dot,
//!     Group(#[stable_type(by_name)] Vec<Placed>),
//!     Pair(Box<Shape>, Box<self::Shape>),
//! }
//! #[derive(StableType)]
//! struct Placed {
//!     shape: Shape,
//! }
//! # fn main() {}
//! ```
//!
//! What points into one version's code or constants: a trait object, a function pointer, a `&'static`; and a raw pointer:
//!
//! ```compile_fail
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! struct World {
//!     spells: Vec<Box<dyn Fn() + Send>>,
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! struct World {
//!     spell: fn(),
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! struct World {
//!     name: &'static str,
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! struct World {
//!     at: *const u8,
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::StableType;
//! #[derive(StableType)]
//! enum Spell {
//!     Fire,
//!     Ice,
//! }
//! #[derive(StableType)]
//! struct World {
//!     spells: Vec<Spell>,
//!     name: String,
//!     at: usize,
//! }
//! # fn main() {}
//! ```
//!
//! A state with a `&'static` under another name:
//!
//! ```compile_fail
//! # use plugind_macros::{StableType, contract, plugin};
//! # #[contract]
//! # trait Game {
//! #     type State;
//! #     fn start() -> Self::State;
//! # }
//! type Name = &'static str;
//! struct Breakout;
//! #[plugin]
//! impl Game for Breakout {
//!     type State = Name;
//!     fn start() -> Name {
//!         "breakout"
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! Memory that both sides would own:
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update(names: &std::sync::Arc<String>);
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update(names: &std::sync::Mutex<Vec<u32>>);
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update(names: &String, best: &std::sync::Mutex<u32>);
//! }
//! # fn main() {}
//! ```
//!
//! A trait object or `impl Trait`, whose methods would be one side's:
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update(input: &dyn std::fmt::Debug);
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update(input: impl Clone);
//! }
//! # fn main() {}
//! ```
//!
//! A mutable reference to what owns memory, which only the side that made it may change:
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update(pixels: &mut Vec<u32>);
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update(pixels: &mut [u32]);
//! }
//! # fn main() {}
//! ```
//!
//! A borrowed result, a `self`, a generic, an async function, a default body that looks into the state, a second maker
//! of the state:
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn name(of: &u32) -> &str;
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update(&mut self);
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     fn update<T>(input: &T);
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     async fn update();
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     type State;
//!     fn start() -> Self::State;
//!     fn lives(state: &Self::State) -> u32 {
//!         *state
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     type State;
//!     fn start() -> Self::State;
//!     fn lives(state: &Self::State) -> u32 {
//!         3
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! ```compile_fail
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     type State;
//!     fn start() -> Self::State;
//!     fn again() -> Self::State;
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::contract;
//! #[contract]
//! trait Game {
//!     type State;
//!     fn start() -> Self::State;
//! }
//! # fn main() {}
//! ```
//!
//! A state that is not `Send`, because an instance may move to another thread:
//!
//! ```compile_fail
//! # use plugind_macros::{contract, plugin};
//! # #[contract]
//! # trait Game {
//! #     type State;
//! #     fn start() -> Self::State;
//! # }
//! struct Breakout;
//! #[plugin]
//! impl Game for Breakout {
//!     type State = std::rc::Rc<u32>;
//!     fn start() -> std::rc::Rc<u32> {
//!         Default::default()
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! An allocator of the plugin's own that it did not ask for, because a state that one version made is dropped by a later
//! one:
//!
//! ```compile_fail
//! # use plugind_macros::{contract, plugin};
//! # #[contract]
//! # trait Game {
//! #     fn update();
//! # }
//! #[global_allocator]
//! static OWN: std::alloc::System = std::alloc::System;
//!
//! struct Breakout;
//! #[plugin]
//! impl Game for Breakout {
//!     fn update() {}
//! }
//! # fn main() {}
//! ```
//!
//! ```
//! # use plugind_macros::{contract, plugin};
//! # #[contract]
//! # trait Game {
//! #     fn update();
//! # }
//! struct Breakout;
//! #[plugin]
//! impl Game for Breakout {
//!     fn update() {}
//! }
//! # fn main() {}
//! ```
