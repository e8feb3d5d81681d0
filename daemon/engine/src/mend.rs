//! Images that lack their rest, because plugind was killed before it was added or there was no room: they work, but
//! their panics show no lines. The next copy of the same content takes their place.

use std::io;

use plugind_wire::VersionId;
use plugind_wire::event::{Event, Kind};

use crate::engine::Loop;
use crate::rest::{Addition, Mends, Rest};
use crate::stage::Copied;

/// How the warning of such a version begins.
const LACKS: &str = "its copy lacks the debug information, so its panics show no lines";

impl Loop {
    /// Adds a new version's rest.
    pub(crate) fn add_rest(&mut self, version: &VersionId, rest: Option<Rest>) {
        if rest.is_some() {
            self.resting.insert(version.clone());
            self.workers.add(Addition {
                version: version.clone(),
                rest,
                mends: None,
            });
        }
    }

    /// Has a copy take the place of the version's image, if that lacks its rest and none is on its way.
    pub(crate) fn mend(&mut self, version: &VersionId, copied: Copied) {
        let Some(known) = self.catalogue.version(version) else {
            return;
        };
        if !known.is_cut() || self.resting.contains(version) {
            return;
        }
        let (rest, made, copy) = copied.into_parts();
        self.resting.insert(version.clone());
        self.workers.add(Addition {
            version: version.clone(),
            rest,
            mends: Some(Mends {
                made,
                copy,
                image: known.shown.image.clone(),
            }),
        });
    }

    /// A version's rest was added, or could not be.
    pub(crate) fn rested(&mut self, version: &VersionId, result: io::Result<()>) {
        self.resting.remove(version);
        match result {
            Ok(()) if self.cut.remove(version) => {
                self.catalogue.change(version, |version| {
                    version
                        .shown
                        .warnings
                        .retain(|warning| !warning.starts_with(LACKS));
                });
                self.keep(version);
            }
            Ok(()) => {}
            Err(error) => {
                let store = self.state.store();
                let warning = format!(
                    "{LACKS}: {error}; it is tried again once there is room in {}",
                    store.display()
                );
                if self.note_cut(version, &warning) {
                    let mut event = Event::new(Kind::Warning);
                    event.plugin = Some(version.plugin.clone());
                    event.version = Some(version.number);
                    event.reason = Some(format!("{version}: {warning}"));
                    self.tell(event);
                }
            }
        }
    }

    /// Versions of earlier runs; most are mended by the scan that follows.
    pub(crate) fn note_cut_of_earlier_runs(&mut self) {
        let cut = self.catalogue.cut();
        for version in cut {
            let warning = format!("{LACKS}: plugind ended before it was copied");
            self.note_cut(&version, &warning);
        }
    }

    /// Lists it; true if that is news.
    fn note_cut(&mut self, version: &VersionId, warning: &str) -> bool {
        self.cut.insert(version.clone());
        let mut is_news = false;
        self.catalogue.change(version, |version| {
            let warnings = &mut version.shown.warnings;
            is_news = !warnings.iter().any(|known| known.starts_with(LACKS));
            if is_news {
                warnings.push(warning.to_owned());
            }
        });
        if is_news {
            self.keep(version);
        }
        is_news
    }

    /// Has the artifacts of such versions copied once more, those that are what they were.
    pub(crate) fn retry_cut(&mut self) {
        let artifacts: Vec<_> = self
            .cut
            .iter()
            .filter(|version| !self.resting.contains(*version))
            .filter_map(|version| Some(self.catalogue.version(version)?.shown.artifact.clone()))
            .collect();
        for artifact in artifacts {
            self.confirm(&artifact);
        }
    }
}
