//! What a probe gives up before it opens an image, as far as the kernel lets it: limits, files, system calls.
//!
//! It keeps a broken plugin from leaving traces, not a hostile one from finding a way.

use std::fs;
use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use plugind_loader::sacrifice;
use plugind_wire::probe::Level;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::message::FORBIDDEN;

/// How much memory an image may use beyond what the process has at its start.
pub(crate) const MEMORY: u64 = 4 << 30;
/// How long a file in memory may become; files on disk cannot be written at all.
const FILE: u64 = 64 << 20;

/// Gives up everything. Forbidden calls are told to `tell`.
pub(crate) fn confine(tell: OwnedFd, processor_seconds: u64) -> Level {
    let limits = limit(processor_seconds);
    let landlock = only_read_files();
    let seccomp = sacrifice::tell_of_forbidden_calls(tell, FORBIDDEN.0, FORBIDDEN.1).is_ok()
        && calls::forbid();
    Level {
        seccomp,
        landlock,
        limits,
    }
}

fn limit(processor_seconds: u64) -> bool {
    let memory = mapped_now().map(|mapped| mapped.saturating_add(MEMORY));
    let limits = [(Resource::As, memory), (Resource::Fsize, Some(FILE))];
    // Its own signal comes first, which no one from outside sends.
    let processor = Rlimit {
        current: Some(processor_seconds),
        maximum: Some(processor_seconds.saturating_add(1)),
    };
    limits
        .into_iter()
        .all(|(resource, limit)| limit.is_some() && lower(resource, limit))
        && setrlimit(Resource::Cpu, processor).is_ok()
}

/// Sets a limit that cannot be raised again.
pub(crate) fn lower(resource: Resource, limit: Option<u64>) -> bool {
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(resource, limit).is_ok()
}

/// Bytes of this process's mappings.
fn mapped_now() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_whitespace().next()?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Every file can be read and none written but `/dev/null`; nobody outside can be connected to or sent a signal.
fn only_read_files() -> bool {
    let abi = ABI::V6;
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .handle_access(AccessNet::from_all(abi))?
            .scope(Scope::from_all(abi))?
            .create()?
            .add_rules(path_beneath_rules(["/"], AccessFs::from_read(abi)))?
            .add_rules(path_beneath_rules(["/dev/null"], AccessFs::from_file(abi)))?
            .restrict_self()
    };
    restrict().is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// The system calls.
pub(crate) mod calls {
    /// A forbidden call: its number, its name, and what it is good for.
    pub(crate) type Call = (libc::c_long, &'static str, &'static str);

    const PROCESS: &str = "start a process";
    const PROGRAM: &str = "run a program";
    const SOCKET: &str = "open a socket";
    const LIMIT: &str = "change a limit";
    const SIGNAL: &str = "send a signal to another process";

    /// What a call is good for, and its name.
    pub(crate) fn purpose(call: u32) -> Option<(&'static str, &'static str)> {
        let all = ALWAYS.iter().chain(&SOMETIMES);
        all.filter(|(number, ..)| libc::c_long::from(call) == *number)
            .map(|(_, name, purpose)| (*purpose, *name))
            .next()
    }

    /// Forbidden whatever its arguments are. `socketpair` is none of them: what it makes reaches nobody.
    const ALWAYS: &[Call] = &[
        #[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm"))]
        (libc::SYS_fork, "fork", PROCESS),
        #[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm"))]
        (libc::SYS_vfork, "vfork", PROCESS),
        (libc::SYS_execve, "execve", PROGRAM),
        (libc::SYS_execveat, "execveat", PROGRAM),
        (libc::SYS_socket, "socket", SOCKET),
        (libc::SYS_connect, "connect", SOCKET),
        #[cfg(not(any(target_arch = "riscv64", target_arch = "riscv32")))]
        (libc::SYS_setrlimit, "setrlimit", LIMIT),
    ];

    /// Forbidden with some arguments: see [`forbid`].
    const SOMETIMES: [Call; 4] = [
        (libc::SYS_clone, "clone", PROCESS),
        (libc::SYS_prlimit64, "prlimit64", LIMIT),
        (libc::SYS_kill, "kill", SIGNAL),
        (libc::SYS_tgkill, "tgkill", SIGNAL),
    ];

    /// Installs the filters; false where the kernel or this machine has none.
    #[cfg(all(target_endian = "little", target_pointer_width = "64"))]
    pub(crate) fn forbid() -> bool {
        install().is_some()
    }

    /// `seccompiler` knows no such machine.
    #[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
    pub(crate) fn forbid() -> bool {
        false
    }

    #[cfg(all(target_endian = "little", target_pointer_width = "64"))]
    fn install() -> Option<()> {
        use std::collections::BTreeMap;

        use seccompiler::{
            BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
            SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
        };

        let machine = TargetArch::try_from(std::env::consts::ARCH).ok()?;
        let when = |argument, length, test, value| {
            let condition = SeccompCondition::new(argument, length, test, value).ok()?;
            Some(vec![SeccompRule::new(vec![condition]).ok()?])
        };
        let (int, word) = (SeccompCmpArgLen::Dword, SeccompCmpArgLen::Qword);
        let (thread, own) = (libc::CLONE_THREAD as u64, u64::from(std::process::id()));
        let mut trapped: BTreeMap<_, _> = ALWAYS
            .iter()
            .map(|(number, ..)| (*number, Vec::new()))
            .collect();
        // One that makes no thread.
        let process = when(0, int.clone(), SeccompCmpOp::MaskedEq(thread), 0)?;
        trapped.insert(libc::SYS_clone, process);
        // One that does not only read.
        let limit = when(2, word, SeccompCmpOp::Ne, 0)?;
        trapped.insert(libc::SYS_prlimit64, limit);
        // One that is not to this process.
        for number in [libc::SYS_kill, libc::SYS_tgkill] {
            trapped.insert(number, when(0, int.clone(), SeccompCmpOp::Ne, own)?);
        }
        // The arguments of the first lie in memory, where a filter cannot look: without it threads are made by `clone`.
        // The second could do what is forbidden without a call. Whoever lacks them goes another way.
        let absent = [libc::SYS_clone3, libc::SYS_io_uring_setup]
            .map(|number| (number, Vec::new()))
            .into();
        let absence = SeccompAction::Errno(libc::ENOSYS as u32);
        for (rules, action) in [(trapped, SeccompAction::Trap), (absent, absence)] {
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, machine).ok()?;
            let program: BpfProgram = filter.try_into().ok()?;
            apply_filter_all_threads(&program).ok()?;
        }
        Some(())
    }
}
