//! Forwards this image's records to the program: those of `log` with the feature `log`, those of `tracing` with the
//! feature `tracing`. Spans are not forwarded.

use std::sync::OnceLock;

use plugind_abi::log::{Level, Sink};

static SINK: OnceLock<&'static Sink> = OnceLock::new();

/// Listens to this image's records from now on, unless the plugin has somebody of its own who does.
pub(crate) extern "C" fn attach(sink: &'static Sink) {
    if SINK.set(sink).is_err() {
        return;
    }
    #[cfg(feature = "log")]
    if log::set_logger(&Forward).is_ok() {
        // The program decides, record by record.
        log::set_max_level(log::LevelFilter::Trace);
    }
    #[cfg(feature = "tracing")]
    {
        let _ = tracing_core::dispatcher::set_global_default(tracing_core::Dispatch::new(Forward));
    }
}

fn is_enabled(level: Level) -> bool {
    SINK.get().is_some_and(|sink| sink.is_enabled(level))
}

fn write(level: Level, target: &str, message: &str, file: Option<&str>, line: Option<u32>) {
    if let Some(sink) = SINK.get() {
        sink.write(level, target, message, file.zip(line));
    }
}

struct Forward;

#[cfg(feature = "log")]
impl log::Log for Forward {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        is_enabled(Level(metadata.level() as u32))
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = Level(record.level() as u32);
        if is_enabled(level) {
            let message = record.args().to_string();
            write(
                level,
                record.target(),
                &message,
                record.file(),
                record.line(),
            );
        }
    }

    fn flush(&self) {}
}

#[cfg(feature = "tracing")]
mod events {
    use std::fmt::{Debug, Write};

    use tracing_core::field::{Field, Visit};
    use tracing_core::span::{Attributes, Id, Record};
    use tracing_core::subscriber::Interest;
    use tracing_core::{Event, Metadata, Subscriber};

    use super::{Forward, Level, is_enabled, write};

    fn level(metadata: &Metadata<'_>) -> Level {
        match *metadata.level() {
            tracing_core::Level::ERROR => Level::ERROR,
            tracing_core::Level::WARN => Level::WARN,
            tracing_core::Level::INFO => Level::INFO,
            tracing_core::Level::DEBUG => Level::DEBUG,
            tracing_core::Level::TRACE => Level::TRACE,
        }
    }

    impl Subscriber for Forward {
        fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
            // The program may change its mind about a level.
            if metadata.is_event() {
                Interest::sometimes()
            } else {
                Interest::never()
            }
        }

        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event() && is_enabled(level(metadata))
        }

        fn event(&self, event: &Event<'_>) {
            let mut text = Text::default();
            event.record(&mut text);
            let metadata = event.metadata();
            let message = text.message + &text.fields;
            write(
                level(metadata),
                metadata.target(),
                &message,
                metadata.file(),
                metadata.line(),
            );
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// `the message key=value ..`
    #[derive(Default)]
    struct Text {
        message: String,
        fields: String,
    }

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            // Writing to a string does not fail.
            let _ = if field.name() == "message" {
                write!(self.message, "{value:?}")
            } else {
                write!(self.fields, " {}={value:?}", field.name())
            };
        }
    }
}
