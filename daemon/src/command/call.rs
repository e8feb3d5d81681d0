//! `plugind call`: a client made of the client library, calling one function in this very process.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use crossbeam_channel::RecvTimeoutError;
use plugind_client::{
    Client, ClientEvent, Digest, Inscription, Plugin, Reader, Status, SymbolTable, VersionId,
    report_fatal_signals,
};
use plugind_wire::SCHEMA;
use serde::Serialize;

use super::{print, print_json};
use crate::cli::{Call, PlaceArgs};
use crate::exit::{CRASHED, Failure};
use crate::place::{self, Found};

/// How often `--watch` calls although nothing was swapped: the function's result may change by itself.
const AGAIN: Duration = Duration::from_millis(500);
/// How often `--watch` looks for an engine.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &Call, place: &PlaceArgs) -> Result<ExitCode> {
    let (name, number) = parse(&args.plugin)?;
    let function =
        CString::new(args.function.as_str()).context("a function's name has no zero byte")?;
    report_fatal_signals(CRASHED).context("cannot listen to fatal signals")?;
    let mut caller = Caller {
        function: &function,
        arguments: &args.arguments,
        json: args.json,
        inscriptions: HashMap::new(),
        printed: None,
    };
    match (number, args.watch) {
        (Some(_), true) => {
            return Err(Failure::Usage(
                "one version never changes; leave out either its number or --watch".to_owned(),
            )
            .into());
        }
        (Some(number), false) => {
            let client = place::connect(place, false)?;
            caller.print(&*client.version(name, number)?)?;
        }
        (None, false) => {
            let client = place::connect(place, false)?;
            let plugin = client.plugin_if_built(name)?;
            let plugin = plugin.map_or_else(|| Err(why_nothing(&client, name)), Ok)?;
            let mut reader = client.reader();
            caller.call_in(&mut reader, &plugin)?;
        }
        (None, true) => watch(&mut caller, name, place)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `NAME` or `NAME@NUMBER`.
fn parse(plugin: &str) -> Result<(&str, Option<u64>)> {
    match plugin.rsplit_once('@') {
        None => Ok((plugin, None)),
        Some((name, number)) => match number.trim_start_matches('v').parse() {
            Ok(number) => Ok((name, Some(number))),
            Err(_) => Err(Failure::Usage(format!(
                "`{number}` is no version number; `plugind status` lists the versions of {name}"
            ))
            .into()),
        },
    }
}

/// Why there is no version to call: rejected, or never built.
fn why_nothing(client: &Client, name: &str) -> anyhow::Error {
    let status = match client.status() {
        Ok(status) => status,
        Err(error) => return error.into(),
    };
    let plugin = status.plugins.iter().find(|plugin| plugin.plugin == name);
    if let Some(newest) = plugin.and_then(|plugin| plugin.versions.last())
        && let Some(reason) = newest.why(name)
    {
        let stage = newest
            .stage
            .map_or_else(String::new, |stage| format!(" at {}", stage.word()));
        return Failure::Rejected(format!(
            "no version of {name} can be called; v{} was rejected{stage}: {reason}",
            newest.version
        ))
        .into();
    }
    let file = status
        .rejected_files
        .iter()
        .find(|file| stem(&file.path) == name);
    if let Some(file) = file {
        return Failure::Rejected(format!(
            "{} was rejected: {}",
            file.path.display(),
            file.reason
        ))
        .into();
    }
    Failure::Unknown(format!(
        "there is no plugin {name} in {}; {}",
        status.folder.display(),
        there_is(&status)
    ))
    .into()
}

/// The plugins that there are, or what to do to have one.
fn there_is(status: &Status) -> String {
    let names: Vec<_> = status
        .plugins
        .iter()
        .map(|plugin| plugin.plugin.as_str())
        .collect();
    if names.is_empty() {
        "none has been built there; a plugin's Cargo.toml says crate-type = [\"cdylib\"]".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    }
}

/// The name that a file would have as a plugin.
fn stem(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split(".so").next().unwrap_or_default();
    stem.strip_prefix("lib").unwrap_or(stem).to_owned()
}

/// Waits for an engine and a first version, then calls for ever.
fn watch(caller: &mut Caller<'_>, name: &str, place: &PlaceArgs) -> Result<()> {
    let client = patient_client(place)?;
    let events = client.events();
    let plugin = match client.plugin_if_built(name) {
        Ok(Some(plugin)) => plugin,
        Ok(None) => {
            let there_is = client
                .status()
                .map_or_else(|_| String::new(), |status| there_is(&status));
            eprintln!("plugind: waiting for a first version of {name}; {there_is}");
            client.plugin(name)?
        }
        Err(error) => {
            eprintln!("plugind: waiting for a better version of {name}: {error}");
            client.plugin(name)?
        }
    };
    let mut reader = client.reader();
    let mut complained = None;
    loop {
        // A version without the function is told once, and the next one may have it.
        if let Err(error) = caller.call_in(&mut reader, &plugin) {
            if error.downcast_ref::<Failure>().is_none() {
                return Err(error);
            }
            let complaint = plugind_wire::sentence(error.as_ref());
            if complained.as_ref() != Some(&complaint) {
                eprintln!("plugind: {complaint}");
                complained = Some(complaint);
            }
        }
        loop {
            match events.recv_timeout(AGAIN) {
                Ok(ClientEvent::Swapped { .. }) | Err(RecvTimeoutError::Timeout) => break,
                Ok(ClientEvent::Refused { version, reason }) => {
                    eprintln!("plugind: refused {version}: {reason}");
                }
                Ok(ClientEvent::Rejected {
                    version,
                    stage,
                    reason,
                }) => {
                    eprintln!(
                        "plugind: {version} was rejected at {}: {reason}",
                        stage.word()
                    );
                }
                Ok(ClientEvent::Disconnected) => {
                    eprintln!(
                        "plugind: the engine is gone; {} goes on",
                        plugin.current().version()
                    );
                }
                Ok(ClientEvent::Connected) => eprintln!("plugind: the engine is back"),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }
}

/// A client whose calls wait as long as it takes.
fn patient_client(args: &PlaceArgs) -> Result<Client> {
    let mut told = false;
    loop {
        if let Found::Engine { socket, folder } = place::find(args)? {
            let builder = Client::builder(folder.unwrap_or_else(|| ".".into()))
                .socket(&socket)
                .program("plugind call")
                .deadline(Duration::MAX);
            if plugind_wire::place::connect(&socket).is_ok() {
                return Ok(builder.connect()?);
            }
        }
        if !told {
            eprintln!("plugind: waiting for `plugind watch`");
            told = true;
        }
        std::thread::sleep(LOOK);
    }
}

/// Calls the function and prints what is new.
struct Caller<'a> {
    function: &'a CStr,
    arguments: &'a [i64],
    json: bool,
    inscriptions: HashMap<Digest, &'static Inscription>,
    printed: Option<(i64, VersionId)>,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: u32,
    result: i64,
    plugin: &'a str,
    version: u64,
    digest: Digest,
}

impl Caller<'_> {
    /// One call inside one frame of the reader.
    fn call_in(&mut self, reader: &mut Reader, plugin: &Plugin) -> Result<()> {
        let frame = reader.enter();
        let table = Arc::clone(frame.table(plugin));
        let result = self.call(&table)?;
        drop(frame);
        self.print_result(&table, result)
    }

    fn print(&mut self, table: &SymbolTable) -> Result<()> {
        let result = self.call(table)?;
        self.print_result(table, result)
    }

    fn print_result(&mut self, table: &SymbolTable, result: i64) -> Result<()> {
        let version = table.version();
        let now = (result, version.clone());
        if self.printed.as_ref() == Some(&now) {
            return Ok(());
        }
        self.printed = Some(now);
        if self.json {
            return print_json(&Answer {
                schema: SCHEMA,
                result,
                plugin: &version.plugin,
                version: version.number,
                digest: table.digest(),
            });
        }
        print(&format!(
            "{result}\t{version}\t{}\n",
            table.digest().short()
        ))
    }

    fn call(&mut self, table: &SymbolTable) -> Result<i64> {
        type Function = unsafe extern "C" fn(i64, i64, i64, i64, i64, i64) -> i64;
        if table.is_variable(&self.function.to_string_lossy()) {
            return Err(Failure::Usage(format!(
                "`{}` of {} is a static; only functions can be called",
                self.function.to_string_lossy(),
                table.version()
            ))
            .into());
        }
        // SAFETY: the user vouches for the function's type on the command line, as `plugind call --help` says. A
        // function of fewer integers ignores the registers of the others, on the platforms that plugind runs on.
        let function = unsafe { table.lookup::<Function>(self.function) }
            .map_err(|error| {
                let contracts: Vec<_> = table.registrations().map_or_else(Vec::new, |registered| {
                    registered.contracts().collect()
                });
                let hint = if contracts.is_empty() {
                    String::new()
                } else {
                    format!(
                        "; it implements {}, whose functions only a program with that contract can call",
                        contracts.join(", ")
                    )
                };
                Failure::Unknown(format!("{}: {error}{hint}", table.version()))
            })?;
        let inscription = self.inscriptions.entry(table.digest()).or_insert_with(|| {
            Inscription::new(format!(
                "plugind: {} {} crashed: `{}` was ended",
                table.version(),
                table.digest().short(),
                self.function.to_string_lossy()
            ))
        });
        let argument = |index: usize| self.arguments.get(index).copied().unwrap_or(0);
        let [a, b, c, d, e, f] = std::array::from_fn(argument);
        // SAFETY: as above.
        Ok(inscription.during(|| unsafe { function(a, b, c, d, e, f) }))
    }
}
