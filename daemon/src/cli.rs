//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    ok; also after SIGTERM and `plugind stop`
  1    failure
  2    wrong usage
  3    nothing serves this folder
  4    no such plugin or version
  5    rejected, or the called code crashed
  6    pinned
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
    /// Scan five times a second instead of relying on file events
    #[arg(long)]
    pub(crate) poll: bool,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
