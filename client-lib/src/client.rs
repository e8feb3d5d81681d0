//! The client: what a program holds.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded, unbounded};
use plugind_loader::{Contract, Registry};
use plugind_wire::VersionId;
use plugind_wire::message::{ClientHello, EngineHello};
use plugind_wire::place::PlaceError;
use plugind_wire::status::Mode;

use crate::builder::Builder;
use crate::error::ClientError;
use crate::event::{Events, Listeners};
use crate::follow::Follow;
use crate::handle::Handle;
use crate::instance::{InSync, Instance, Moved, Now, Outcome};
use crate::link::{Link, Target};
use crate::linked;
use crate::loader::Loader;
use crate::lost;
use crate::plugin::Plugin;
use crate::reader::{Reader, Readers};
use crate::request::Request;
use crate::require::Requirement;
use crate::snapshot::SymbolTable;
use crate::view::{Idle, View};

/// Requests of all threads that wait for the loader thread.
const REQUESTS: usize = 256;
/// Messages that wait for the loader thread while it opens something.
const ARRIVED: usize = 256;

/// Follows plugins while the program runs. Clones share everything; dropping the last one ends the client's threads,
/// and what was open stays open.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) readers: Arc<Readers>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) requests: Sender<Request>,
    pub(crate) deadline: Duration,
    loader: Option<JoinHandle<()>>,
    /// Ends the link. By a pointer, so that a program whose plugins are linked in contains none of its code.
    end_link: Option<EndLink>,
    #[cfg(feature = "embedded")]
    engine: Option<plugind_engine::Engine>,
    mode: std::sync::OnceLock<EngineHello>,
    idle: Idle,
    /// The plugins that are linked into the program: then there is no engine, no link and no loader thread.
    pub(crate) linked: Option<Vec<Plugin>>,
}

type EndLink = Box<dyn FnOnce() + Send + Sync>;

impl Client {
    /// Uses the daemon that serves `folder` if one answers now, and runs the engine inside this process otherwise.
    ///
    /// # Errors
    ///
    /// See [`Builder::watch`].
    pub fn watch(folder: impl AsRef<Path>) -> Result<Self, ClientError> {
        Self::builder(folder).watch()
    }

    /// Connects to the daemon that serves `folder`, waiting up to 10 s for it.
    ///
    /// # Errors
    ///
    /// See [`Builder::connect`].
    pub fn connect(folder: impl AsRef<Path>) -> Result<Self, ClientError> {
        Self::builder(folder).connect()
    }

    /// Runs the engine inside this process, whether or not a daemon serves `folder`.
    ///
    /// # Errors
    ///
    /// See [`Builder::embed`].
    pub fn embed(folder: impl AsRef<Path>) -> Result<Self, ClientError> {
        Self::builder(folder).embed()
    }

    /// For choices: socket, directories, deadline, name.
    pub fn builder(folder: impl AsRef<Path>) -> Builder {
        Builder::new(folder.as_ref())
    }

    pub(crate) fn launch(
        target: Target,
        hello: ClientHello,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        let readers = Arc::new(Readers::new());
        let listeners = Arc::new(Listeners::default());
        lost::tell(&listeners);
        let (requests, to_do) = bounded(REQUESTS);
        let (to_loader, arrived) = bounded(ARRIVED);
        let loader = Loader::new(Arc::clone(&readers), Arc::clone(&listeners), to_do, arrived);
        let loader = thread::Builder::new()
            .name("plugind-loader".to_owned())
            .spawn(move || loader.run())
            .map_err(ClientError::Thread)?;
        let mut inner = Inner {
            readers,
            listeners,
            requests,
            deadline,
            loader: Some(loader),
            end_link: None,
            #[cfg(feature = "embedded")]
            engine: None,
            mode: std::sync::OnceLock::new(),
            idle: Idle::default(),
            linked: None,
        };
        // From here on dropping `inner` ends the loader thread.
        let link = Link::start(target, hello, to_loader).map_err(ClientError::Thread)?;
        inner.end_link = Some(Box::new(move || link.stop()));
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// A client of the plugins that are linked into the program; [`link`](crate::link) makes it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Open`] if what a plugin registered cannot be used.
    #[doc(hidden)]
    pub fn linked(registry: &'static Registry) -> Result<Self, ClientError> {
        let readers = Arc::new(Readers::new());
        let linked = linked::plugins(registry, &readers)?;
        let listeners = Arc::new(Listeners::default());
        lost::tell(&listeners);
        // Nobody listens: what only an engine could answer says so.
        let (requests, _) = bounded(0);
        let inner = Inner {
            readers,
            listeners,
            requests,
            deadline: Duration::ZERO,
            loader: None,
            end_link: None,
            #[cfg(feature = "embedded")]
            engine: None,
            mode: std::sync::OnceLock::new(),
            idle: Idle::default(),
            linked: Some(linked),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Keeps the embedded engine as long as the client.
    #[cfg(feature = "embedded")]
    pub(crate) fn keep(&mut self, engine: plugind_engine::Engine) {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.engine = Some(engine);
        }
    }

    pub(crate) fn await_engine(
        &self,
        socket: &Path,
        deadline: Duration,
    ) -> Result<(), ClientError> {
        let hello = self
            .ask(Request::Ready, deadline)
            .map_err(|error| match error {
                ClientError::TimedOut { waited } => ClientError::NothingServes {
                    socket: socket.to_owned(),
                    waited,
                },
                other => other,
            })?;
        let _ = self.inner.mode.set(hello);
        Ok(())
    }

    /// Where the engine runs; nowhere, if the plugins are [linked](crate::link) into the program. Decided once, when
    /// the client starts.
    pub fn mode(&self) -> Option<Mode> {
        // Set by every other constructor before it hands the client out.
        self.inner.mode.get().map(|hello| hello.mode)
    }

    /// One version by number, opened beside the others; it stays what it is.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unknown`], [`ClientError::Rejected`], [`ClientError::Open`].
    pub fn version(&self, plugin: &str, number: u64) -> Result<Arc<SymbolTable>, ClientError> {
        let id = VersionId {
            plugin: plugin.to_owned(),
            number,
        };
        self.ask(|answer| Request::Version(id, answer), self.inner.deadline)
    }

    /// Opens a shared object by path, as Go's `plugin.Open` does: constructors run once, and the same content is the
    /// same version for every caller. The file is staged first, so it may be overwritten afterwards; it is not
    /// watched. A failed open may be tried again after a better build.
    ///
    /// # Errors
    ///
    /// [`ClientError::Rejected`] if the file is no plugin, [`ClientError::Open`] if the loader turns it down.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Arc<SymbolTable>, ClientError> {
        let path = std::path::absolute(path.as_ref())
            .map_err(|error| ClientError::Rejected(error.to_string()))?;
        if path.to_str().is_none() {
            return Err(PlaceError::NotText { path }.into());
        }
        self.ask(|answer| Request::Open(path, answer), self.inner.deadline)
    }

    /// A reader for one thread.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.inner.readers), None)
    }

    /// Has a plugin make a state of contract `C`, waiting up to the deadline for its first version. The instance has
    /// the contract's methods, and follows the plugin's build at each [`Client::sync`].
    ///
    /// # Errors
    ///
    /// As [`Client::plugin`]; [`ClientError::Misfit`] if the plugin does not fit the contract, [`ClientError::Fault`] if
    /// it panicked.
    pub fn start<C: Contract + ?Sized>(&self, plugin: &str) -> Result<Instance<C>, ClientError> {
        let plugin = self.fitting::<C>(plugin)?;
        Instance::start(plugin, self.inner.requests.clone())
    }

    /// A plugin's functions of contract `C`, which has no state, for calls from any thread; waits up to the deadline for
    /// its first version. A later version that does not fit the contract is refused, and what serves goes on.
    ///
    /// # Errors
    ///
    /// As [`Client::plugin`]; [`ClientError::Misfit`] if the plugin does not fit the contract.
    pub fn bind<C: Contract + ?Sized>(&self, plugin: &str) -> Result<Handle<C>, ClientError> {
        const {
            assert!(
                !C::STATEFUL,
                "the contract has a state, which an instance owns: use Client::start"
            );
        }
        let plugin = self.fitting::<C>(plugin)?;
        let table = plugin.current();
        let functions = table.bind::<C>().map_err(|reason| ClientError::Bind {
            version: table.version().clone(),
            reason: Box::new(reason),
        })?;
        Ok(Handle::new(plugin, (table, functions)))
    }

    /// Follows every plugin that implements contract `C`, now and later, with an instance each. They come, change and
    /// go at [`Client::sync`], which says so; a plugin whose file is gone stays.
    ///
    /// # Errors
    ///
    /// [`ClientError::Disconnected`] if the client has ended.
    pub fn follow<C: Contract + ?Sized>(&self) -> Result<Follow<C>, ClientError> {
        if let Some(linked) = &self.inner.linked {
            let news = linked::implementing(linked, C::NAME);
            return Ok(Follow::new(news, self.inner.requests.clone()));
        }
        // Unbounded, because the loader thread never waits for a frame; one message per plugin and change.
        let (tell, news) = unbounded();
        self.inner
            .requests
            .send(Request::FollowContract(Requirement::of::<C>(), tell))
            .map_err(|_| ClientError::Disconnected)?;
        Ok(Follow::new(news, self.inner.requests.clone()))
    }

    /// Leaves a plugin: every [`Follow`] drops its instance at the next sync, and no later version of it is opened until
    /// it is asked for by name again. What was bound or started by name keeps the version that it has. False if it was
    /// not followed.
    ///
    /// # Errors
    ///
    /// [`ClientError::Disconnected`], [`ClientError::TimedOut`].
    pub fn remove(&self, plugin: &str) -> Result<bool, ClientError> {
        self.ask(
            |answer| Request::Remove(plugin.into(), answer),
            self.inner.deadline,
        )
    }

    /// The plugins that this client follows and has a version of, in the order in which they were first asked for.
    ///
    /// # Errors
    ///
    /// [`ClientError::Disconnected`], [`ClientError::TimedOut`].
    pub fn plugins(&self) -> Result<Vec<Plugin>, ClientError> {
        if let Some(linked) = &self.inner.linked {
            return Ok(linked.clone());
        }
        self.ask(Request::Plugins, self.inner.deadline)
    }

    /// Holds new versions back: nothing is opened or swapped in until [`Client::resume`], but for first versions of
    /// plugins. Then the newest of each plugin is, all together.
    pub fn pause(&self) {
        // Nobody hears it when the client has ended: then nothing is swapped any more.
        let _ = self.inner.requests.send(Request::Pause(true));
    }

    /// Ends [`Client::pause`].
    pub fn resume(&self) {
        let _ = self.inner.requests.send(Request::Pause(false));
    }

    /// One version of every plugin, until it is dropped: for one request of a service, on any thread. A loop that has a
    /// thread of its own is better served by a [`Client::reader`].
    pub fn snapshot(&self) -> View {
        View::new(&self.inner.idle, || self.reader())
    }

    /// The boundary between two frames: moves all instances on to one snapshot, states carried. An instance whose state
    /// cannot be carried stays with its version and says why; the others go on.
    ///
    /// Outcomes come in the order of the instances.
    ///
    /// # Panics
    ///
    /// If an instance is another client's.
    pub fn sync<const N: usize>(&self, instances: [&mut dyn InSync; N]) -> [Outcome; N] {
        let readers = &self.inner.readers;
        let now = Now {
            epoch: readers.newest(),
            readers,
        };
        if instances.iter().all(|instance| instance.is_settled(&now)) {
            return [const { Outcome::UpToDate }; N];
        }
        let newest = Moved {
            snapshot: readers.snapshot.load_full(),
            readers: Arc::clone(readers),
        };
        instances.map(|instance| instance.move_to(&newest))
    }

    /// What happens in this client from now on. A listener that lags by more than 1,024 events loses some and is told
    /// how many.
    pub fn events(&self) -> Events {
        self.inner.listeners.add()
    }

    pub(crate) fn ask<T>(
        &self,
        request: impl FnOnce(Sender<Result<T, ClientError>>) -> Request,
        deadline: Duration,
    ) -> Result<T, ClientError> {
        if self.inner.linked.is_some() {
            return Err(linked::no_engine());
        }
        let (answer, answered) = bounded(1);
        self.inner
            .requests
            .send(request(answer))
            .map_err(|_| ClientError::Disconnected)?;
        match answered.recv_timeout(deadline) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(ClientError::TimedOut { waited: deadline }),
            Err(RecvTimeoutError::Disconnected) => Err(ClientError::Disconnected),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::End);
        if let Some(loader) = self.loader.take() {
            let _ = loader.join();
        }
        #[cfg(feature = "embedded")]
        drop(self.engine.take());
        if let Some(end_link) = self.end_link.take() {
            end_link();
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("mode", &self.mode())
            .finish()
    }
}
