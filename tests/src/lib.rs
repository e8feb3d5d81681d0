//! What the end-to-end suites stand on: places of their own, the real `plugind`, real builds, and waiting with a
//! deadline that tells what was seen instead.
//!
//! The suites lie in `tests/tests`, one file per promise. Nothing here touches tracked files or shared places: every
//! test has a [`Home`] under the temporary directory, which goes away with it.
#![forbid(unsafe_code)]

mod answer;
mod call;
mod cargo;
mod cc;
mod children;
mod daemon;
mod elf;
mod home;
mod judged;
mod other;
mod past;
mod process;
mod programs;
mod refusals;
mod sdk;
mod signing;
mod source;
mod three;
mod tools;
mod trace;
mod troupe;
mod victim;
mod victim_folder;
mod wait;
mod writer;

pub use answer::Answer;
pub use call::Call;
pub use cargo::{Built, CargoProject, Linker, demo_game, plugind, workspace};
pub use cc::{answers, cc_plugin, replace};
pub use children::children;
pub use daemon::Daemon;
pub use elf::end_of_last_load;
pub use home::Home;
pub use judged::{Judged, Said, Toolchain};
pub use other::Other;
pub use past::{Past, outcomes};
pub use process::{Process, Seen, Signal};
pub use programs::{Ended, cc, connect, embed, ended, run, rustc};
pub use refusals::{Refusals, Refused};
pub use sdk::{sdk_plugin, sdk_plugin_of};
pub use signing::{Key, signature_of};
pub use source::{modules, rust_files, tokens};
pub use three::{CountedFrame, ThreeCrates};
pub use tools::{need, need_root, report, say, scratch};
pub use trace::Trace;
pub use troupe::{Troupe, contract};
pub use victim::{holds, marks, victim};
pub use victim_folder::{VICTIM, VictimFolder, is_untried, rejected};
pub use wait::{DEADLINE, EndOnDrop, since_change, until, within};
pub use writer::{CHUNK, Pace, write_in_chunks};
