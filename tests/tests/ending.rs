//! Proves that a daemon ends when it is told to, although clients connect and ask at that moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plugind_client::Client;
use plugind_tests::{EndOnDrop, Past};
use plugind_wire::event::Kind;

#[test]
fn a_daemon_ends_although_clients_come_and_ask() {
    let past = Past::new();
    let end = AtomicBool::new(false);
    thread::scope(|threads| {
        let _end = EndOnDrop(&end);
        for _ in 0..4 {
            threads.spawn(|| {
                while !end.load(Ordering::Relaxed) {
                    let builder = Client::builder(&past.folder)
                        .state_dir(past.home.state())
                        .runtime_dir(past.home.runtime())
                        .deadline(Duration::from_millis(200));
                    // It may be gone at any of these.
                    if let Ok(client) = builder.connect() {
                        let _ = client.history(None, None);
                        let _ = client.diff("x", 1, 2);
                    }
                }
            });
        }
        for _ in 0..20 {
            let mut daemon = past.watch(&[]);
            daemon.wait("clients come", |event| event.event == Kind::ClientConnected);
            assert!(daemon.stop().success());
        }
    });
}
