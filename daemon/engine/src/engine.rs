//! The engine's thread: one loop over everything that can happen.
//!
//! What it owns it alone changes. What happened at the same moment is taken in together before anything is announced,
//! so that plugins that are ready together are swapped together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, never, select};
use plugind_wire::VersionId;
use plugind_wire::event::{Event, Kind};
use plugind_wire::message::{EngineHello, ToClient};

use crate::catalogue::{Catalogue, ClientId};
use crate::choice::Policies;
use crate::clients::{Session, Waiter};
use crate::events::Listener;
use crate::file_limit;
use crate::group::Group;
use crate::history::History;
use crate::lanes::Layout;
use crate::opening::Opening;
use crate::probe::Probed;
use crate::quarantine::Quarantine;
use crate::scanned::Scanning;
use crate::server::Input;
use crate::state::State;
use crate::tracked::Tracked;
use crate::trust::Trust;
use crate::turns::Turns;
use crate::watch::Watch;
use crate::who::Asking;
use crate::workers::{Finished, Workers};

/// How often everything is looked at although no event asked for it.
const SAFETY_SCAN: Duration = Duration::from_secs(30);
/// How often where the system sends no events.
const POLL: Duration = Duration::from_millis(200);

/// What the loop is made of.
pub(crate) struct Parts {
    pub(crate) state: State,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) workers: Workers,
    pub(crate) published: Arc<ArcSwap<Catalogue>>,
    pub(crate) inputs: Receiver<Input>,
    pub(crate) stopped: Receiver<&'static str>,
    pub(crate) stop: Sender<&'static str>,
    pub(crate) hello: EngineHello,
    pub(crate) poll: bool,
    pub(crate) trust: Arc<Trust>,
    pub(crate) events: Option<Sender<Event>>,
    pub(crate) warnings: Vec<String>,
    pub(crate) policies: Policies,
    pub(crate) groups: Vec<Vec<String>>,
    /// Begin with every build held back.
    pub(crate) manual: bool,
}

/// Everything the engine's thread knows.
pub(crate) struct Loop {
    pub(crate) hello: EngineHello,
    // Before the state, whose lock keeps other engines out of the store: a field's threads end before the next goes.
    pub(crate) workers: Workers,
    pub(crate) state: State,
    /// What became of every version.
    pub(crate) history: History,
    pub(crate) quarantine: Arc<Quarantine>,
    /// Whether it was told that older records had to go.
    pub(crate) quarantine_is_full: bool,
    pub(crate) watch: Watch,
    /// Whose files are taken.
    pub(crate) trust: Arc<Trust>,
    /// Plugins that change together.
    pub(crate) groups: Vec<Group>,
    /// Watched artifacts and how far the newest change of each has come.
    pub(crate) tracked: HashMap<PathBuf, Tracked>,
    /// Files that clients asked for by path.
    pub(crate) opening: HashMap<PathBuf, Opening>,
    /// The order of what was found at the start.
    pub(crate) turns: Turns,
    /// Versions that left the probe since the last announcement.
    pub(crate) ready: Vec<Probed>,
    /// Who waits for a version that is on its way.
    pub(crate) waiting: HashMap<VersionId, Vec<Waiter>>,
    /// Who waits for what all clients execute.
    pub(crate) asking: Vec<Asking>,
    /// Who waits until what is on disk is decided.
    pub(crate) scanning: Vec<Scanning>,
    /// Who waits for a rejected artifact that is tried again, until it has a number.
    pub(crate) retrying: HashMap<PathBuf, Vec<Waiter>>,
    /// Versions whose rest is on its way into the image.
    pub(crate) resting: HashSet<VersionId>,
    /// Versions whose image lacks its rest.
    pub(crate) cut: HashSet<VersionId>,
    pub(crate) catalogue: Catalogue,
    pub(crate) sessions: BTreeMap<ClientId, Session>,
    pub(crate) listener: Option<Listener>,
    pub(crate) stop: Sender<&'static str>,
    published: Arc<ArcSwap<Catalogue>>,
    inputs: Receiver<Input>,
    stopped: Receiver<&'static str>,
    found_first: Option<Layout>,
    warnings: Vec<String>,
    manual: bool,
    next_scan: Instant,
}

/// Whatever can happen.
enum Happened {
    Changed(notify::Event),
    Finished(Finished),
    Input(Input),
    Stop(&'static str),
    Time,
}

impl Loop {
    /// Watches the folder, and leaves what is found to [`Loop::run`].
    pub(crate) fn new(parts: Parts) -> Self {
        let mut watch = Watch::new(parts.poll);
        let (folder, store) = (&parts.hello.folder, parts.state.store());
        let found_first = watch.follow(folder, &store, &parts.trust.owners);
        let (history, unreadable) = History::open(parts.state.dir(), parts.state.id());
        Self {
            hello: parts.hello,
            workers: parts.workers,
            state: parts.state,
            history,
            quarantine: parts.quarantine,
            quarantine_is_full: false,
            watch,
            trust: parts.trust,
            groups: parts.groups.iter().cloned().map(Group::new).collect(),
            tracked: HashMap::new(),
            opening: HashMap::new(),
            turns: Turns::default(),
            ready: Vec::new(),
            waiting: HashMap::new(),
            asking: Vec::new(),
            scanning: Vec::new(),
            retrying: HashMap::new(),
            resting: HashSet::new(),
            cut: HashSet::new(),
            catalogue: Catalogue {
                policies: parts.policies.into(),
                groups: parts.groups.into(),
                ..Catalogue::default()
            },
            sessions: BTreeMap::new(),
            listener: parts.events.map(Listener::new),
            stop: parts.stop,
            published: parts.published,
            inputs: parts.inputs,
            stopped: parts.stopped,
            found_first: Some(found_first),
            warnings: parts.warnings.into_iter().chain(unreadable).collect(),
            manual: parts.manual,
            next_scan: Instant::now(),
        }
    }

    /// Runs until somebody says stop; what clients say after that is left in what it returns.
    pub(crate) fn run(mut self) -> Receiver<Input> {
        file_limit::is_an_error_here();
        let mut watching = Event::new(Kind::Watching);
        watching.folder = Some(self.hello.folder.display().to_string());
        self.tell(watching);
        for warning in std::mem::take(&mut self.warnings) {
            let mut event = Event::new(Kind::Warning);
            event.reason = Some(warning);
            self.tell(event);
        }
        self.remember();
        self.remember_choices(self.manual);
        if let Some(layout) = self.found_first.take() {
            self.begin(layout);
        }
        let reason = loop {
            self.schedule_scan();
            self.look_at_due();
            self.end_late_turns();
            self.publish();
            self.show();
            self.answer_scanned();
            self.answer_who();
            if let Some(reason) = self.take_in(self.wait()) {
                break reason;
            }
        };
        let mut event = Event::new(Kind::Stopping);
        event.reason = Some(reason.to_owned());
        self.tell(event);
        for session in self.sessions.values() {
            session.outbox.send(ToClient::Goodbye {
                reason: reason.to_owned(),
            });
        }
        self.inputs
    }

    /// Lets every status that is asked for from now on say what is known.
    pub(crate) fn show(&self) {
        self.published.store(Arc::new(self.catalogue.clone()));
    }

    /// Waits for one thing to happen.
    fn wait(&self) -> Happened {
        let nobody = never();
        // Clients are heard once it is known what is there, so that "no such plugin" is the truth.
        let inputs = if self.turns.are_over() {
            &self.inputs
        } else {
            &nobody
        };
        let due = self.next_due().min(self.next_scan);
        let due = self.turns.deadline().map_or(due, |turns| turns.min(due));
        let due = self.next_gathering().map_or(due, |group| group.min(due));
        let due = self.next_answer().map_or(due, |answer| answer.min(due));
        let pause = due.saturating_duration_since(Instant::now());
        select! {
            recv(self.watch.events()) -> event => event.map_or(Happened::Time, Happened::Changed),
            recv(self.workers.finished()) -> result => result.map_or(Happened::Time, Happened::Finished),
            recv(inputs) -> input => input.map_or(Happened::Time, Happened::Input),
            recv(self.stopped) -> reason => Happened::Stop(reason.unwrap_or("its owner is gone")),
            default(pause) => Happened::Time,
        }
    }

    /// Takes in one thing and whatever else happened meanwhile; a reason ends the loop.
    fn take_in(&mut self, first: Happened) -> Option<&'static str> {
        let mut next = Some(first);
        let mut everything = false;
        while let Some(happened) = next {
            match happened {
                Happened::Changed(event) => everything |= self.hear(&event),
                Happened::Finished(result) => {
                    // What happened to a file while it was copied is known before the copy is used.
                    while let Ok(event) = self.watch.events().try_recv() {
                        everything |= self.hear(&event);
                    }
                    self.workers.finish(&result);
                    self.finished(result);
                }
                Happened::Input(input) => self.input(input),
                Happened::Stop(reason) => return Some(reason),
                Happened::Time => {}
            }
            next = self.at_hand();
        }
        if everything {
            self.scan();
        }
        None
    }

    fn at_hand(&self) -> Option<Happened> {
        if let Ok(event) = self.watch.events().try_recv() {
            return Some(Happened::Changed(event));
        }
        let result = self.workers.finished().try_recv();
        result.ok().map(Happened::Finished)
    }

    fn schedule_scan(&mut self) {
        if Instant::now() >= self.next_scan {
            // The first turn comes right after the start, which has just looked.
            self.scan();
        }
    }

    /// Looks at the whole folder.
    pub(crate) fn scan(&mut self) {
        let store = self.state.store();
        let owners = &self.trust.owners;
        let layout = self.watch.follow(&self.hello.folder, &store, owners);
        self.next_scan = Instant::now()
            + if self.watch.is_polling() {
                POLL
            } else {
                SAFETY_SCAN
            };
        self.forget_what_is_gone();
        self.retry_cut();
        self.catch_up_history();
        self.compare(layout);
    }
}
