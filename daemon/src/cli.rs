//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use plugind_engine::{ProbeChoice, ProbeOptions, User};
use plugind_wire::probe::Confinement;

const EXIT_CODES: &str = "\
Exit codes:
  0    ok; also after SIGTERM and `plugind stop`
  1    failure
  2    wrong usage
  3    nothing serves this folder
  4    no such plugin or version
  5    rejected, or the called code crashed
  6    pinned, held or paused
  7    timed out
  130  interrupted (Ctrl-C)";

/// Follows plugin builds and swaps every finished version into the programs that run.
#[derive(Debug, Parser)]
#[command(name = "plugind", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which engine a command talks to.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// The engine's socket, instead of the one nearest to this directory
    #[arg(long, global = true, value_name = "PATH", env = "PLUGIND_SOCKET")]
    pub(crate) socket: Option<PathBuf>,
    /// Where an engine keeps its state and store [default: $XDG_STATE_HOME/plugind]
    #[arg(long, global = true, value_name = "DIR", env = "PLUGIND_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The process of the engine, where several serve
    #[arg(long, global = true, value_name = "PID")]
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Watch(Watch),
    Call(Call),
    Status(Status),
    Inspect(Inspect),
    Probe(Probe),
    Diff(Diff),
    Retry(Retry),
    Who(Who),
    Wait(Wait),
    Rollback(Rollback),
    Pin(Pin),
    Unpin(Unpin),
    Promote(Promote),
    /// Hold every build back: it is staged, probed and listed, and takes over when it is promoted or after `resume`
    Pause,
    /// Let the newest builds take over again, after a pause
    Resume,
    History(History),
    /// End the daemon that serves this folder
    Stop,
}

/// Watch a folder and tell every client of finished versions
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The folder that builds write to; it need not exist yet [default: the target directory of this workspace]
    ///
    /// Shared objects count in the folder itself and up to two levels below it.
    pub(crate) folder: Option<PathBuf>,
    /// Print events as JSON Lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Hold every build back from the start, as `plugind pause` does
    #[arg(long)]
    pub(crate) manual: bool,
    #[command(flatten)]
    pub(crate) choices: Choices,
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
}

/// What plugind.toml may say too
#[derive(Debug, Args)]
pub(crate) struct Choices {
    /// The configuration [default: the plugind.toml nearest to the folder, in it or above it]
    #[arg(long, value_name = "FILE", env = "PLUGIND_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Scan five times a second instead of relying on file events
    #[arg(
        long,
        value_name = "BOOL",
        env = "PLUGIND_POLL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) poll: Option<bool>,
    /// Take the files of this user too, beside yours and root's; `*` takes everybody's
    #[arg(long, value_name = "USER", env = "PLUGIND_TRUST_OWNER", value_delimiter = ',', value_parser = user)]
    pub(crate) trust_owner: Option<Vec<User>>,
    /// Let this user ask and command, beside you and root; needs a --socket that the user can reach
    #[arg(long, value_name = "USER", env = "PLUGIND_ALLOW_CLIENT", value_delimiter = ',', value_parser = user)]
    pub(crate) allow_client: Option<Vec<User>>,
}

/// How the versions of every plugin are tried
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// How long opening a version in a process of its own may take [default: 10]
    #[arg(long, value_name = "SECONDS", env = "PLUGIND_PROBE_TIMEOUT", value_parser = seconds)]
    probe_timeout: Option<Duration>,
    /// What a version is kept from there: `sandboxed` (processes, sockets, writing files, more than 4 GB of memory),
    /// `unsandboxed` (nothing), or `off` (it is not tried) [default: sandboxed]
    #[arg(long = "probe", value_name = "HOW", env = "PLUGIND_PROBE")]
    confinement: Option<Confinement>,
}

impl ProbeArgs {
    pub(crate) fn choice(&self) -> ProbeChoice {
        ProbeChoice {
            timeout: self.probe_timeout,
            confinement: self.confinement,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let text = text.strip_suffix('s').unwrap_or(text);
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give a number of seconds above 0, such as 10 or 0.5".to_owned())
}

/// Open a plugin in this process and call a function of it
///
/// The function is an `extern "C"` function that takes up to six 64-bit integers and returns one. Prints the result,
/// the version that gave it and the start of its digest, separated by tabs.
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// The plugin, or one version of it as NAME@NUMBER
    #[arg(value_name = "PLUGIN[@N]")]
    pub(crate) plugin: String,
    /// The function, as it is registered or exported
    pub(crate) function: String,
    /// Its arguments
    #[arg(value_name = "INTEGER", num_args = 0..=6, allow_negative_numbers = true)]
    pub(crate) arguments: Vec<i64>,
    /// Call every new version, and twice a second; print when the result or the version changes
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON Lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show plugins, versions and what each client runs
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what a file declares, without running any of it
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A shared object
    pub(crate) file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Open a file in a process of its own, as is done with every version before it is announced
///
/// Tells whether it passed, or what it did there and all that it wrote.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// A shared object
    pub(crate) file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// How long that may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// Let it start processes, open sockets, write files and use all the memory
    #[arg(long)]
    unsandboxed: bool,
}

impl Probe {
    pub(crate) fn options(&self) -> ProbeOptions {
        ProbeOptions {
            timeout: self.timeout,
            confinement: if self.unsandboxed {
                Confinement::Unsandboxed
            } else {
                Confinement::Sandboxed
            },
        }
    }
}

/// Show what changed between two versions of a plugin: functions and fields
///
/// Reads what each declares, and runs none of it. No program need use either; a version that was rejected can be compared
/// too. Ends with code 0 whether or not something changed.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The plugin
    pub(crate) plugin: String,
    /// The number of one version, as `plugind status` lists it
    #[arg(value_name = "N", value_parser = number)]
    pub(crate) expected: u64,
    /// The number of another
    #[arg(value_name = "M", value_parser = number)]
    pub(crate) found: u64,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Try the rejected builds of a plugin again
///
/// The bytes of a build that broke when it was opened are in quarantine: they are not tried again, also after a restart,
/// until this is said, or until something changed that it may have broken by (a library beside it, the sandbox, the
/// deadline, the release of plugind). Ends when the newest of them has been tried.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// The plugin, or a file of one: its path or name as `plugind status` shows it
    pub(crate) plugin: String,
}

/// Show what every reader of every program executes right now
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Only this plugin
    pub(crate) plugin: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Wait until every program that uses a plugin runs its newest version
///
/// Newest is what was on disk when this began: `cargo build -p hello && plugind wait hello` ends when what was built is
/// what runs. Exits with 5 if that build was rejected or a program refused it, and says why; with 6 if an older
/// one is pinned, or something is paused; with 7 after the timeout, naming process, thread, version and since when.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The plugin
    pub(crate) plugin: String,
    /// This version, which need not exist yet, or a later one, instead of the newest
    #[arg(long, value_name = "N", value_parser = number)]
    pub(crate) version: Option<u64>,
    /// Until a reader of each program has entered it
    #[arg(long, conflicts_with = "drained")]
    pub(crate) executing: bool,
    /// Until no reader is inside an older one, which is the default
    #[arg(long)]
    pub(crate) drained: bool,
    /// Wait for so many programs at least
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) clients: usize,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Go back to an earlier version, until the next build is accepted
///
/// A program that has the version open has it again at once; another opens it from the store.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The plugin
    pub(crate) plugin: String,
    /// To this version, instead of the one before the current one
    #[arg(long, value_name = "N", value_parser = number)]
    pub(crate) to: Option<u64>,
    /// Stay there also when new builds come, until `plugind unpin`
    #[arg(long)]
    pub(crate) hold: bool,
}

/// Keep a version, whatever is built
///
/// Builds are staged, probed and listed all the same; each of them is told with a word that it does not run.
#[derive(Debug, Args)]
pub(crate) struct Pin {
    /// The plugin
    pub(crate) plugin: String,
    /// The version [default: the current one]
    #[arg(value_name = "N", value_parser = number)]
    pub(crate) version: Option<u64>,
}

/// Let the newest version take over again, after a pin or a rollback
#[derive(Debug, Args)]
pub(crate) struct Unpin {
    /// The plugin
    pub(crate) plugin: String,
}

/// Let a version take over where builds do not by themselves: under `policy = "manual"`, or while paused
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// The plugin
    pub(crate) plugin: String,
    /// The version [default: the newest]
    #[arg(value_name = "N", value_parser = number)]
    pub(crate) version: Option<u64>,
}

/// Show what became of every version, newest last, also before the last restart
///
/// `published`, `rejected` at a stage, `live` in the first program that swapped it in, `refused` by a program,
/// `superseded` before any program had it: each once. At least the newest 6,000 are kept.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Only this plugin
    pub(crate) plugin: Option<String>,
    /// Only the newest N [default: 50, with --json all]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) last: Option<u64>,
    /// And then every later one, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Print JSON Lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// A version's number, also as it is printed.
fn number(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix('v').unwrap_or(text).parse();
    number.map_err(|_| "give a version's number, such as 7 or v7".to_owned())
}

fn user(name: &str) -> Result<User, String> {
    Ok(User::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
