//! Log records of plugins become events of the program's own subscriber, under the target `plugind::plugin`, with the
//! plugin's name and version.

use plugind_loader::{LogLevel, LogRecord, LogSink};
use plugind_wire::VersionId;

/// The records of one version.
pub(crate) struct Records(pub(crate) VersionId);

/// By level: whether anybody listens, and an event.
macro_rules! levels {
    ($($level:ident $tracing:ident),*) => {
        impl LogSink for Records {
            fn is_enabled(&self, level: LogLevel) -> bool {
                match level {
                    $(LogLevel::$level => {
                        tracing::enabled!(target: "plugind::plugin", tracing::Level::$tracing)
                    })*
                    _ => false,
                }
            }

            fn write(&self, record: &LogRecord) {
                let VersionId { plugin, number } = &self.0;
                let place = record.place.as_ref();
                let place = place.map(|(file, line)| format!("{file}:{line}"));
                match record.level {
                    $(LogLevel::$level => tracing::event!(
                        target: "plugind::plugin",
                        tracing::Level::$tracing,
                        plugin,
                        version = number,
                        from = record.target,
                        place,
                        "{}",
                        record.message
                    ),)*
                    _ => {}
                }
            }
        }
    };
}

levels! { ERROR ERROR, WARN WARN, INFO INFO, DEBUG DEBUG, TRACE TRACE }
