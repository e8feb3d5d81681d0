//! What plugind cannot do, does not do yet, or does only on Linux.
//!
//! # Trust
//!
//! A plugin runs with the program's rights, and so do its constructors. An image is opened only if it belongs to the
//! user, is read-only and has the content that was announced.
//!
//! Before it is announced it is opened in a process that may die, the [probe](super::architecture#the-probe). That finds
//! plugins that are broken, not those that are hostile: code can tell that it is being probed and behave until it is let
//! through, and what passes runs with your rights. It finds what constructors do, and nothing of what functions do that
//! are called later, nor what a thread does after the constructors that started it have returned. A program with another
//! environment, other libraries or less memory may still fail to open what passed there; it refuses the version and
//! goes on.
//!
//! A constructor that starts a process, opens a socket or writes a file fails in the probe although it would work in
//! the program; what only fails by a refused write looks like a failure of the plugin's own. Each can be allowed, for one
//! plugin, with `probe = "unsandboxed"` in `plugind.toml`, or for all with `--probe unsandboxed`. One that reserves more
//! than 4 GB of addresses, as some runtimes and sanitizers do, needs that too.
//!
//! A signature says who made a file, not what it does. It is asked for when a file is taken: what was accepted before the
//! key was named stays accepted, and an old version that was signed well may be put back by whoever may write the folder.
//! `settle` looks at header and tables of a file, to see that it is complete, before its signature is checked; nothing
//! else does. Libraries that the system's loader finds elsewhere than beside the plugin are its own affair.
//!
//! Only the folder in which a file lies is looked at, not those above it, and of a link to a file only the folder of the
//! link. Access control lists are not read; what they add to the group is trusted as the group is.
//!
//! A user whom `--allow-client` lets in may ask and command, and cannot open plugins: images lie in a directory that only
//! the engine's user can enter. Root is never kept out.
//!
//! `plugind.toml` is read once, at the start.
//!
//! Where no program is there to try a version, it is announced all the same and every status says `not probed`.
//!
//! # Types
//!
//! [`Image::lookup`](crate::Image::lookup) is `unsafe`: nothing checks that a symbol has the type that the program says.
//! A plugin that changes a signature must change its program in the same step. A [contract](super::contracts) is
//! checked, as far as its types are described: of a field under `unsafe_opaque` size, alignment, compiler and the words
//! are compared, and nothing inside. Which processor features a plugin needs is known as far as its own crate was compiled
//! with them. That every symbol an image needs is there is known when the loader opens it, before its constructors run.
//!
//! # States
//!
//! A state is carried to a version whose state has a type of the same layout, and to no other: then the instance stays
//! with its version until the program starts again or the change is undone. A fingerprint folds names, offsets, sizes
//! and the types of fields; two types with the same fields and another meaning are not told apart.
//!
//! A plugin with an allocator of its own (`#[plugin(own_allocator)]`) never hands its state over, and neither does any
//! other plugin of the same `cargo build`. Nor does one that was built for being linked in, with the feature `static`.
//!
//! # What versions share
//!
//! Every version has its own statics, with three exceptions that `inspect` warns of or that the loader decides: symbols
//! of the kind `GNU_UNIQUE` (C++ inline statics, unless built with `-fno-gnu-unique`) are one for all versions;
//! initial-exec thread-local storage comes from a surplus that a process has once; and a needed library is matched by
//! name with what is loaded, so that a changed private dependency stays the old one until the program starts again; the
//! version that brings a changed one carries a warning.
//!
//! # Memory
//!
//! A retired version stays mapped, four mappings and some tens of kilobytes of private memory for a small one. A process
//! has room for about 16,000 versions before the kernel's limit on mappings (`vm.max_map_count`) makes an open fail; the
//! version is then refused with the loader's message and the older one goes on.
//!
//! A file of more than 1 GiB is rejected, as is a plugin that needs such a library from beside it: what is copied is read
//! into memory whole, so that it is one state of the file. Leave debug information out of it, or beside it.
//!
//! # What is remembered of rejected versions
//!
//! Of all plugins together the engine remembers 256 rejected versions; the oldest are forgotten, and of those that are
//! what their file still holds the oldest at last. What is forgotten is no longer in `status`, cannot be compared by
//! `plugind diff`, and its number is not given again.
//!
//! # Delays that remain
//!
//! A file that is patched in place, without being emptied first, is announced 25 ms after its last write, because a writer
//! that reopens the file between two pieces cannot be told from one that is done. The same goes for `cp` over a file
//! with an embedded engine, and where the daemon may not lock a page of it in memory (`ulimit -l`). Where leases do not
//! work, on most network file systems and for files of another user, every file must have been quiet for 250 ms.
//!
//! What no event tells is found by the scan, every 30 s: a file that is overwritten under another name, of which the
//! watched one is a hard link or a symbolic link to a place that is not watched.
//!
//! A file that is copied into place and at once patched by a writer that opens it for each piece can be published with
//! some of the pieces, if the event that tells of the second one comes later than the copy took: the first may be taken
//! for the end of the copy. What comes after them is published 25 ms after the last.
//!
//! A writer that is killed while it patches a file of the same length leaves a mixture that nothing tells from a
//! finished file; it is published like one.
//!
//! # Platforms
//!
//! Linux on 64-bit and 32-bit processors of either byte order; tested on x86-64. What is bound to Linux is in few files:
//! the lease, the watched directories, the barrier, the fatal-signal handler, the reader of ELF images, the places of
//! sockets. Each says what macOS or Windows would need; none of that is written or tested.
