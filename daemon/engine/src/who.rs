//! Asks every client what it executes, and answers when all have said so or had their time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use plugind_wire::SCHEMA;
use plugind_wire::message::{Reply, ToClient};
use plugind_wire::who::{Client, Report, Who};

use crate::catalogue::ClientId;
use crate::clients::Waiter;
use crate::engine::Loop;

/// A client that does not answer within this is stopped, or runs a constructor.
const PATIENCE: Duration = Duration::from_secs(1);

/// Somebody who waits for what all clients execute.
pub(crate) struct Asking {
    waiter: Waiter,
    until: Instant,
    /// Who was not heard yet.
    open: BTreeSet<ClientId>,
    heard: BTreeMap<ClientId, Report>,
}

impl Loop {
    /// Asks all clients. One that has not answered an earlier question answers both.
    pub(crate) fn who(&mut self, waiter: Waiter) {
        let mut open = BTreeSet::new();
        for (id, session) in &mut self.sessions {
            if session.hello.opens {
                open.insert(*id);
                if !std::mem::replace(&mut session.asked, true) {
                    session.outbox.send(ToClient::Report);
                }
            }
        }
        self.asking.push(Asking {
            waiter,
            until: Instant::now() + PATIENCE,
            open,
            heard: BTreeMap::new(),
        });
    }

    /// A client has answered.
    pub(crate) fn reported(&mut self, id: ClientId, report: &Report) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.asked = false;
        }
        for asking in &mut self.asking {
            if asking.open.remove(&id) {
                asking.heard.insert(id, report.clone());
            }
        }
    }

    /// When the next question ends at the latest.
    pub(crate) fn next_answer(&self) -> Option<Instant> {
        self.asking.iter().map(|asking| asking.until).min()
    }

    /// Answers those whose question has ended.
    pub(crate) fn answer_who(&mut self) {
        let now = Instant::now();
        for asking in &mut self.asking {
            // One that went away executes nothing.
            asking.open.retain(|id| self.sessions.contains_key(id));
        }
        let ended = self
            .asking
            .extract_if(.., |asking| asking.open.is_empty() || asking.until <= now);
        for mut asking in ended.collect::<Vec<_>>() {
            let client = |(id, client): (&ClientId, &std::sync::Arc<crate::catalogue::Client>)| {
                let report = asking.heard.remove(id);
                let is_asked = report.is_some() || asking.open.contains(id);
                is_asked.then(|| Client {
                    pid: client.name.pid,
                    program: client.name.program.clone(),
                    report,
                })
            };
            let mut clients: Vec<_> = self.catalogue.clients.iter().filter_map(client).collect();
            clients.sort_by_key(|client| client.pid);
            let who = Who {
                schema: SCHEMA,
                clients,
            };
            self.reply(asking.waiter, Reply::Who { who });
        }
    }
}
