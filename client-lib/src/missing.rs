//! What there is in the place of a plugin that does not come, and what to do about it.

use plugind_wire::status::{Plugin, Status};

/// So many files that became no plugin are told.
const FILES: usize = 3;

/// In the engine's words, for the program that asks.
pub(crate) fn instead_of(name: &str, status: &Status) -> String {
    if let Some(plugin) = status.plugins.iter().find(|plugin| plugin.plugin == name) {
        return not_for_us(plugin, status);
    }
    let folder = status.folder.display();
    let names: Vec<_> = status
        .plugins
        .iter()
        .map(|plugin| plugin.plugin.as_str())
        .collect();
    let mut instead = if names.is_empty() {
        format!(
            "no plugin has been built in {folder}; build one there with crate-type = [\"cdylib\"]"
        )
    } else {
        format!(
            "there are in {folder}: {}; a plugin is called what its crate is called",
            names.join(", ")
        )
    };
    for file in status.rejected_files.iter().take(FILES) {
        let (path, stage) = (file.path.display(), file.stage.word());
        instead += &format!("; {path} was rejected at {stage}: {}", file.reason);
    }
    instead
}

/// Why none of the versions there are is this program's.
fn not_for_us(plugin: &Plugin, status: &Status) -> String {
    let name = &plugin.plugin;
    if let Some(newest) = plugin.versions.last()
        && let Some(reason) = newest.why(name)
    {
        let number = newest.version;
        return match newest.stage {
            Some(stage) => format!("its v{number} was rejected at {}: {reason}", stage.word()),
            None => format!("its v{number} was {reason}"),
        };
    }
    let uses = status
        .clients
        .iter()
        .filter(|client| client.pid == std::process::id())
        .flat_map(|client| &client.plugins);
    let ours = uses
        .filter(|used| used.plugin == *name)
        .map(|used| used.lane.as_str())
        .next();
    let lanes: Vec<_> = plugin
        .selected
        .iter()
        .map(|selected| selected.lane.as_str())
        .collect();
    match ours {
        Some(ours) if !lanes.is_empty() && !lanes.contains(&ours) => format!(
            "it has been built in {}, and this program follows {ours}, where it lies; build the plugin there as well",
            lanes.join(", ")
        ),
        _ => "its first version is on its way; see `plugind status`".to_owned(),
    }
}
