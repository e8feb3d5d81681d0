//! What each way of calling a plugin costs, why, and how to measure it again.
//!
//! `scripts/bench` builds a plugin and a program in release, calls one function of a few instructions over and over,
//! each call with the result of the one before, and prints medians and how often the bare pointer's they are. Only the
//! ratios of one run mean something: the nanoseconds are the machine's. A run on x86-64:
//!
//! | way | ns | times the pointer |
//! |---|---|---|
//! | bare pointer | 2.63 | 1 |
//! | held symbol | 2.56 | 0.97 |
//! | method of a contract | 2.92 | 1.11 |
//! | reader entered, held symbol | 4.33 | 1.65 |
//! | reader entered, table of the contract bound | 8.91 | 3.39 |
//! | reader entered, symbol looked up by name | 19.9 | 7.56 |
//! | nothing new: arc-swap's cache | 0.47 | 0.18 |
//! | nothing new: reader entered and left | 1.64 | 0.62 |
//! | nothing new: `Client::snapshot` | 26.0 | 9.89 |
//! | nothing new: `Client::sync` of one instance | 7.74 | 2.95 |
//! | `Client::sync` and a method | 9.80 | 3.73 |
//!
//! # A call
//!
//! A [`Symbol`](crate::Symbol) is the address in the plugin; calling it is calling a function pointer.
//!
//! A method of a contract loads the address from the version's table and calls a shim in the plugin, which catches
//! panics. Catching costs nothing until something unwinds. The rest costs little because nothing on the way waits for
//! memory:
//!
//! - Numbers are passed, and results of up to eight bytes come back, in registers. A larger result is written where the
//!   program made room for it, once.
//! - Nothing marks that a call is under way. A panic that ends a call is told to the program and not printed, and the
//!   panic hook must know which one will be; it finds out when a panic begins, by walking the stack to a shim. A mark in
//!   a thread-local variable would have to be set and taken back by every call, and in a shared object each of the two
//!   is a function call of its own.
//! - What says why a call failed is made before the call as two words, and looked at only if it did.
//!
//! Arguments that are values but no numbers are cloned by the plugin, and results that own memory by the program, which
//! has the plugin drop its own: each side frees what it allocated. Pass references and slices where that matters.
//!
//! # A frame
//!
//! [`Reader::enter`](crate::Reader::enter) and the frame's drop are a store each to a word that is the thread's own, and
//! a look at a number that changes at a swap only. No fence, no clock, no shared counter; where the kernel lacks
//! `membarrier(2)` there are two fences more. arc-swap's `Cache`, which tells nobody that somebody is inside, is the
//! measure of it. Ask for tables and bind contracts once per frame and not per call.
//!
//! [`Client::snapshot`](crate::Client::snapshot) is for threads that are not yours to keep a reader on: it borrows one
//! under a lock. [`Client::sync`](crate::Client::sync) compares one number for each instance, as long as nothing was
//! swapped since the last time.
//!
//! # Plugins that are linked in
//!
//! With [`link!`](crate::link) calls go the same way, through the table to the shim: 1.15 times a call in Rust that is
//! not inlined (2.39 ns and 2.07 ns in one run; `linked in` in the bench). A call that the compiler sees would have to
//! name the plugin's type, and a contract's methods are compiled before any plugin, while the program names the plugin
//! by a text and may link several of one contract. A shim at an address known at compile time, which we tried, costs what
//! the call in Rust does (2.11 ns) and is not inlined either, because by its frame the panic hook knows that the panic
//! will be told.
//!
//! Where inlining matters, a program can name the type: a contract is an ordinary trait, and the plugin a library. Such
//! a call is the compiler's, state and panics included.
//!
//! ```
//! # mod breakout {
//! # use plugind_macros::{contract, plugin};
//! # #[contract]
//! # pub trait Game {
//! #     type State;
//! #     fn start() -> Self::State;
//! #     fn update(state: &mut Self::State, by: u32);
//! # }
//! # pub struct Breakout;
//! # #[plugin]
//! # impl Game for Breakout {
//! #     type State = u32;
//! #     fn start() -> u32 {
//! #         0
//! #     }
//! #     fn update(state: &mut u32, by: u32) {
//! #         *state += by;
//! #     }
//! # }
//! # }
//! use breakout::{Breakout, Game};
//!
//! let mut state = Breakout::start();
//! Breakout::update(&mut state, 3);
//! # assert_eq!(state, 3);
//! ```
//!
//! # A panic
//!
//! The first call in an image sets the panic hook. A panic walks the stack once more than usual and allocates its
//! message twice: some microseconds.
