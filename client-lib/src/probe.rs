//! The first line of a program's `main`, whatever it is built with.

/// Lets this program try plugins for itself: to be the first line of `main`.
///
/// Before a version is announced it is opened in a process of its own, which may die. That process is `plugind`, from
/// `PLUGIND_BIN`, from the program's own folder or from `PATH`; where there is none it is this program, started again
/// with a first argument that this line knows: then it opens the version, says what came of it, and ends. At any other
/// time it takes no time. A program without the line, where no `plugind` is found, opens versions that nobody has
/// tried, and every status says so.
///
/// Without the feature `embedded` it does nothing: a daemon tries its plugins itself.
pub fn probe_entry() {
    #[cfg(feature = "embedded")]
    plugind_engine::probe_entry();
}
