//! The connection: a thread that connects, says hello, reads, and connects again.
//!
//! It knows nothing of plugins; what arrives goes to the loader thread.

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use plugind_wire::message::{ClientHello, EngineHello, ToClient, ToEngine};
use plugind_wire::{PROTOCOL, framing, place};

/// The pauses between two tries to connect: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// An engine has so long to say hello, and to take a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// The stream on which an engine has not said hello yet; an engine that hangs must not hold up the end of the client.
type Greeting = Arc<Mutex<Weak<UnixStream>>>;

/// What the connection tells the loader thread.
pub(crate) enum Arrived {
    /// The engine said hello.
    Connected(EngineHello, Writer),
    /// The engine said something else.
    Message(ToClient),
    /// The connection ended.
    Lost,
    /// The engine speaks another protocol, or refuses this user; there will be no further try.
    Hopeless(EngineHello),
}

/// Where an engine is.
pub(crate) enum Target {
    /// At a socket, now or later, again and again.
    Socket(PathBuf),
    /// In this process; there is no second try.
    #[cfg_attr(
        not(feature = "embedded"),
        expect(dead_code, reason = "only an embedded engine hands out streams")
    )]
    Stream(UnixStream),
}

/// The way to the engine.
#[derive(Debug)]
pub(crate) struct Writer {
    stream: Arc<UnixStream>,
}

impl Writer {
    /// Sends one message. A failure ends the connection, of which the reading side then tells.
    pub(crate) fn send(&self, message: &ToEngine) {
        match framing::write(&*self.stream, message) {
            Ok(()) => {}
            // The message cannot be written down; the connection is sound.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                tracing::error!(%error, "a message to the engine is left out");
            }
            Err(_) => self.end(),
        }
    }

    pub(crate) fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// The running thread.
pub(crate) struct Link {
    stop: Option<Sender<()>>,
    greeting: Greeting,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    pub(crate) fn start(
        target: Target,
        hello: ClientHello,
        arrived: Sender<Arrived>,
    ) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let greeting = Greeting::default();
        let shared = Arc::clone(&greeting);
        let thread = thread::Builder::new()
            .name("plugind-link".to_owned())
            .spawn(move || run(target, &hello, &arrived, &stopped, &shared))?;
        Ok(Self {
            stop: Some(stop),
            greeting,
            thread: Some(thread),
        })
    }

    /// Ends the thread. The caller has ended the connection and dropped the receiving side.
    pub(crate) fn stop(mut self) {
        self.stop = None;
        let greeting = self
            .greeting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        if let Some(stream) = greeting {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    target: Target,
    hello: &ClientHello,
    arrived: &Sender<Arrived>,
    stopped: &Receiver<()>,
    greeting: &Greeting,
) {
    match target {
        Target::Stream(stream) => {
            let _ = converse(stream, hello, arrived, greeting);
        }
        Target::Socket(path) => {
            let mut pause = BACK_OFF.0;
            loop {
                match place::connect(&path).map(|stream| converse(stream, hello, arrived, greeting))
                {
                    Ok(Ended::ForGood) => return,
                    Ok(Ended::AfterHello) => pause = BACK_OFF.0,
                    Ok(Ended::BeforeHello) | Err(_) => {}
                }
                match stopped.recv_timeout(pause) {
                    Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(BACK_OFF.1),
                    _ => return,
                }
            }
        }
    }
}

enum Ended {
    BeforeHello,
    AfterHello,
    ForGood,
}

/// One connection from its hello to its end.
fn converse(
    stream: UnixStream,
    hello: &ClientHello,
    arrived: &Sender<Arrived>,
    greeting: &Greeting,
) -> Ended {
    let stream = Arc::new(stream);
    *greeting.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&stream);
    let greeted = greet(&stream, hello);
    let Ok((mut from, engine)) = greeted else {
        return Ended::BeforeHello;
    };
    if engine.protocol != PROTOCOL || engine.refused.is_some() {
        let _ = arrived.send(Arrived::Hopeless(engine));
        return Ended::ForGood;
    }
    let writer = Writer {
        stream: Arc::clone(&stream),
    };
    if arrived.send(Arrived::Connected(engine, writer)).is_err() {
        return Ended::ForGood;
    }
    loop {
        match framing::read::<ToClient>(&mut from) {
            Ok(Some(message)) => {
                if arrived.send(Arrived::Message(message)).is_err() {
                    return Ended::ForGood;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(
                    error = plugind_wire::sentence(&error),
                    "the connection to the engine ends"
                );
                break;
            }
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    match arrived.send(Arrived::Lost) {
        Ok(()) => Ended::AfterHello,
        Err(_) => Ended::ForGood,
    }
}

type Greeted<'a> = (BufReader<&'a UnixStream>, EngineHello);

fn greet<'a>(
    stream: &'a UnixStream,
    hello: &ClientHello,
) -> Result<Greeted<'a>, framing::ReadError> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // An engine that refuses this user says so and hangs up, perhaps before it could hear anything.
    let written = framing::write(stream, hello);
    let mut from = BufReader::new(stream);
    let engine = framing::read::<EngineHello>(&mut from)?
        .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    if engine.refused.is_none() {
        written?;
    }
    stream.set_read_timeout(None)?;
    Ok((from, engine))
}
