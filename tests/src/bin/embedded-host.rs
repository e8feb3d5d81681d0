//! A host program in miniature: `embedded-host embed|connect|watch DIR PLUGIN FUNCTION` calls a function at every new
//! version and twice a second, and prints an answer line whenever result or version changes, as `plugind call` does.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use plugind_client::Client;
use plugind_tests::Answer;

type Function = unsafe extern "C" fn() -> i64;

fn main() -> Result<(), Box<dyn Error>> {
    // What programs are without the line.
    if std::env::var_os("NO_PROBE_ENTRY").is_none() {
        plugind_client::probe_entry();
    }
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [mode, dir, plugin, function] = args.as_slice() else {
        return Err("usage: embedded-host embed|connect|watch DIR PLUGIN FUNCTION".into());
    };
    let deadline = std::env::var("DEADLINE").map_or(Ok(30), |seconds| seconds.parse())?;
    let builder = Client::builder(Path::new(dir))
        .program("embedded-host")
        .deadline(Duration::from_secs(deadline));
    let client = match mode.as_str() {
        "embed" => builder.embed()?,
        "connect" => builder.connect()?,
        "watch" => builder.watch()?,
        other => return Err(format!("{other} is no mode").into()),
    };
    let function = std::ffi::CString::new(function.as_str())?;
    let events = client.events();
    let plugin = client.plugin(plugin)?;
    let mut reader = client.reader();
    let mut last = None;
    loop {
        let frame = reader.enter();
        let table = frame.table(&plugin);
        // SAFETY: the suites' plugins declare every function they are asked for as `extern "C" fn() -> i64` (kept by
        // `answers` and `CargoProject::set_answer`).
        let symbol = unsafe { table.lookup::<Function>(&function) }?;
        // SAFETY: as above; the functions have no preconditions.
        let result = unsafe { symbol() };
        let answer = Answer {
            schema: 1,
            result,
            plugin: table.version().plugin.clone(),
            version: table.version().number,
            digest: table.digest(),
        };
        drop(frame);
        if last.as_ref() != Some(&answer) {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{}", serde_json::to_string(&answer)?)?;
            stdout.flush()?;
            last = Some(answer);
        }
        match events.recv_timeout(Duration::from_millis(500)) {
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("the client ended".into()),
        }
    }
}
