//! The line from a finished file to an executing call, and why each part is as it is.
//!
//! ```text
//! watch -> settle -> stage -> inspect -> probe -> publish ==socket==> open -> register -> swap -> call
//! \____________________ the engine ____________________/            \_________ the client _________/
//! ```
//!
//! # Truth and mechanism
//!
//! A daemon cannot write pointers into another process. The engine owns the truth: which version is current, what was
//! refused and why. The client owns the mechanism: it opens, swaps, and acknowledges what it did. A status shows
//! acknowledgements only, so it cannot say that new code runs where it does not.
//!
//! # One engine, one protocol
//!
//! The engine is the same library in `plugind watch` and inside a program. An embedded engine hands its own client one
//! end of a socket pair and serves a socket beside that: the same messages travel in both ways of running, and every
//! command works on a program that embeds. Its store and its numbers are private to the process.
//!
//! # Settled, not debounced
//!
//! The kernel grants a read lease exactly when nobody can write an inode. A file is settled when it grants one and the
//! file's tables lie inside the file. No time passes for a file that a build links, renames or writes through one
//! descriptor.
//!
//! A writer that opens the file anew for each piece escapes the lease between two pieces. It betrays itself: it patches
//! an inode that was settled before, or it leaves the file incomplete while nobody can write it. Only then must the
//! file also have been quiet for 25 ms.
//!
//! `cp` over an existing file writes to an inode that was settled before, too, but empties it first, so nothing of the
//! old version is left in a file that is complete. Events and times do not tell the two apart; the page table does: the
//! kernel takes a page of a file out of it when the file is emptied, and leaves it there when the file is written to.
//! The daemon keeps the first page of each artifact mapped, never reads it, and asks `/proc/self/pagemap`. An embedded
//! engine waits instead: a program maps nothing of the folder that a build writes to.
//!
//! # Who decides what runs
//!
//! Whoever can write a plugin decides what runs with the rights of the program. So a file is taken if it belongs to the
//! user, to root or to an owner that the user trusts, and only these can write it or put another in its place: not where
//! everybody may write the file, or the folder it lies in, unless that has the sticky bit. The file is asked through the
//! descriptor from which it is copied. The group is trusted, as the system's own `umask` has it. Where another user deploys,
//! the kernel gives no lease on the file, and it is the quiet that tells its end.
//!
//! Where `plugind.toml` names a key, the signature (minisign) in the file beside the artifact is checked against the
//! bytes that were copied, in memory, before they are read, and those bytes are what becomes the image. Which plugin it
//! is tells the note inside; so the signature is checked with every key there is, and what the note says must belong to
//! the key that fits. The libraries that are copied with a plugin obey the same rules as the plugin.
//!
//! Directories have mode 0700 and are refused otherwise, every connection is asked for its user (`SO_PEERCRED`), every
//! descriptor is closed in programs that are started, and a client looks at owner, mode and digest again before it opens
//! an image.
//!
//! # The mapped part first
//!
//! Of a debug build the loader maps a tenth; the rest is for debuggers and backtraces, and writing it would take longer
//! than everything else between a finished file and new code. So the artifact is read and hashed whole, the part up to
//! the end of its last segment is written to the image, and that goes on to inspect, publish and open; the rest is
//! added to the same inode by a thread of its own, for which nothing waits. An announcement has two digests: of the
//! content, by which versions are known, and of the mapped part, which a client checks before it opens the image. Rest
//! and mapped part share no page, so nothing that is mapped ever changes. A file with bytes that its section headers do
//! not know is copied whole first, because a plugin may look for them in its own file.
//!
//! If plugind ends in between, or the disk is full, the version says in `status` that its panics show no lines, and the
//! next copy of the same content takes the image's place.
//!
//! # Numbers and records
//!
//! A number is given when a copy is staged, and is on disk before it is used: a line at the end of a file, which a
//! restart takes into `state.json`. What became of a version is a record beside its directory in the store.
//!
//! The history is a second account of the same, which outlives the records: a line for each outcome at the end of a file
//! of its own, written before anybody is told. A kill between a record and its line leaves a record without one, which
//! the next start adds; what the file says already it does not say twice. Of two files the older goes when the newer is
//! full.
//!
//! An artifact is `unchanged` when its content is that of the newest version, not rejected, that came from the same
//! path. Any other content is a new version, also one that was seen before: it must start with statics of its own.
//!
//! # Which version is current
//!
//! A version that may be opened is *wanted* in its lane if somebody chose it, and what ends that has not come; else if the
//! plugin's policy prefers it. A choice is written down before it is answered. Of a plugin that stands in no group the
//! wanted version is *selected* at once: it is what clients are told of.
//!
//! The members of a group are selected together, when none of them is on its way and none was rejected last, and either all
//! have changed, or nothing has moved for 25 ms and cargo holds no lock in the lane, or ten seconds have passed. What is
//! selected of a group is written down as well, because after a restart nothing else would tell it from what is wanted.
//! Clients are told of a group's versions in one message that names the members, and use all or none; a member that a client
//! could not use for the sake of another is announced to it again together with that one's next version. A version that
//! somebody chose by a command does not wait for the others.
//!
//! # Libraries beside a plugin
//!
//! A library that an image needs through `$ORIGIN` is copied as well, once per content, and the image's directory holds
//! links to the copies. The files in the watched folder may be overwritten in place while programs run; nothing of
//! theirs may be mapped from there.
//!
//! # Contracts are compared, not trusted
//!
//! Each function of a contract has a fingerprint, folded at compile time from its name, how each argument crosses, and
//! what each type looks like: names, offsets, sizes. The same description stands in the plugin's file, as a
//! [note](super::manifest), so a difference is told field by field, and before any of the plugin has run.
//!
//! Two look at it. The engine, at inspect: clients send it the contracts that they require, and a version that fits none
//! of them is rejected, because nobody could use it. If it fits some, it is announced, and each client that it does not
//! fit refuses it by itself, after it has checked the image's content and before it opens it. A version that fitted
//! nobody is staged again, as a new one, when another program asks for the plugin: its contract may be the newer one.
//! Last, when a version is open, its functions are bound by the fingerprints that it registered.
//!
//! `plugind diff` compares two versions of a plugin with the same eyes. What a version declares stays in its image as long
//! as that is in the store; of a rejected one, whose image goes, the notes are kept beside its record.
//!
//! Layouts that a compiler decides count only between builds of one compiler. The program's methods call
//! shims in the plugin, which catch panics there, because no image can catch another's; owned values are cloned and
//! dropped by the side that made them.
//!
//! Whether every symbol that an image needs is there is not decided at inspect: the program itself may offer some. The
//! loader decides it when it opens the image, before any constructor runs.
//!
//! An instance is a reader of its own that stays inside a snapshot from one `sync` to the next. `live` waits until every
//! instance of the plugin is with the new version; one that cannot be carried makes the client refuse it.
//!
//! # The probe
//!
//! What a plugin's constructors do cannot be read from its file, and a program that opens a plugin whose constructor
//! crashes, hangs or exits goes with it. So a version is opened in a process that may die before anybody is told of it.
//! That process is `plugind` started again, or, where a program embeds the engine and there is no `plugind`, the program
//! itself: the first line of its `main`, [`probe_entry`](crate::probe_entry), knows by the first argument what it was
//! started for. It is a new process and no fork, because a fork of a program with threads has their locks and not them.
//! It is started while the artifact is copied, which takes about as long, and is told what to open when that is known;
//! one that nothing came for ends after a second.
//!
//! It opens the image by the same code as a client, then compares what the constructors registered with what the notes
//! declare. Before that it gives up what the kernel lets it give up, and says what that was (the *level*): limits on
//! memory (4 GB), processor time and file sizes; Landlock, so that it can read every file and write none; seccomp, so
//! that a new process, another program, a socket, a limit or a signal to somebody else ends it. A thread is allowed.
//! Descriptor 0 is a socket for the verdict until the image is opened, then empty; 1 and 2 are one pipe, of which the
//! beginning and the end are kept; all others are closed. It is in a process group of its own, ends with the engine
//! that started it, and is ended and reaped when it has given its verdict, or after ten seconds (`--probe-timeout`).
//!
//! A forbidden call is trapped and not killed: a handler writes its number to the socket, so that the rejection can name
//! it. Where signals are blocked, as while `posix_spawn` runs, the kernel kills instead, and only the signal is known.
//!
//! A rejection says how far the probe came (`spawn`, `sandbox`, `open`, `constructors`, `registrations`), how it ended
//! and what it wrote. A program that is asked to be the probe says its release first, and one that does not understand
//! the order is passed over; where nobody is left, the version is published as `not_probed`, and status and event say
//! why. A plugin that needs more is probed `unsandboxed`, or not at all (`off`).
//!
//! # Quarantine
//!
//! The digest of a version that breaks in the probe is in quarantine: the same bytes are rejected at once, with the
//! reason that was found first, when they are built again, after a restart, and by the next run of a program that embeds
//! the engine. A record lies in `quarantine/` in the folder's state directory, outside the stores of embedded engines,
//! and apart for each program, because what breaks in one may find the symbols it needs in another. There are 256; the
//! oldest go, and an event says so. The rejected version itself is in `status` until its file holds something else; the
//! same file, rejected again, takes the place of its earlier entry.
//!
//! A verdict says what it came from (`cause`), and counts only as long as that is the same:
//!
//! | `cause` | for example | in quarantine |
//! |---|---|---|
//! | `plugin` | a crash, an exit, registrations that contradict the notes | until the bytes change |
//! | `sandbox` | a process, a socket, a file, too much memory | while it is probed in the sandbox |
//! | `time` | the deadline, the processor time | while the deadline is not longer |
//! | `surroundings` | a missing library or symbol, a probe that could not be started or was killed | no |
//!
//! Besides, none counts for another release of plugind, or beside libraries (`$ORIGIN`) whose content changed. What the
//! surroundings did is not remembered, because it is mended without a new build, and trying it costs a probe and runs no
//! constructor. Other things that a constructor may break by, such as a variable or a file that it reads, nobody can
//! see: `plugind retry PLUGIN` forgets what is remembered of the plugin, and has each of its files whose newest version
//! was rejected copied and probed again, under a new number.
//!
//! # Raw plugins wait until they are asked for
//!
//! A shared object without a note is published after it was inspected, and goes on to the probe and to clients when
//! one first asks for it: a folder may hold libraries that are nobody's plugin.
//!
//! # Readers
//!
//! A reader keeps the snapshot it entered, and a word that says so. Entering stores the word, then looks whether there
//! is a newer snapshot; the loader thread stores a snapshot, then looks at the words. Neither may miss the other, which
//! takes a full barrier on both sides (Dekker's pattern); `membarrier(2)` lets the loader thread issue both. So a frame
//! costs its thread a few plain stores, and `drained` is a fact and not a guess: no reader is inside an older version,
//! and none can enter one.
//!
//! Old snapshots are freed by the loader thread only. Versions are never freed: images stay mapped as long as the
//! process lives, because a function pointer, a vtable, a thread or a thread-local destructor may hold on to one.
