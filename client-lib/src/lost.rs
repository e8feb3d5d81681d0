//! Panics that end no call: of a plugin that dropped a state or a result. No method can return them, so every client of
//! this process tells them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use plugind_loader::{Fault, hear_lost};

use crate::event::{ClientEvent, Listeners};

static CLIENTS: Mutex<Vec<Weak<Listeners>>> = Mutex::new(Vec::new());

/// Has a client's listeners told from now on, as long as they live.
pub(crate) fn tell(listeners: &Arc<Listeners>) {
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    clients.retain(|client| client.strong_count() > 0);
    clients.push(Arc::downgrade(listeners));
    hear_lost(heard);
}

fn heard(fault: Fault) {
    tracing::error!(
        plugin = fault.plugin,
        version = fault.version,
        "{fault}; what was dropped is lost, and the program goes on"
    );
    // Not told under the lock: a listener's end may drop another state.
    let clients: Vec<_> = CLIENTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .filter_map(Weak::upgrade)
        .collect();
    let event = ClientEvent::Faulted { fault };
    for client in clients {
        client.tell(&event);
    }
}
