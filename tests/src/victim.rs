//! Plugins whose constructor does what no constructor should, and that tell in which process it ran.

use std::path::PathBuf;

use crate::{Home, cc};

/// A C plugin, `victim`, whose constructor first tells its process on descriptor 2. It may call `deep`, which has no
/// end, and start threads of `nothing`.
pub fn victim(home: &Home, what: &str, constructor: &str) -> PathBuf {
    let image = home
        .build()
        .join(what.replace(' ', "-"))
        .join("libvictim.so");
    let source = format!(
        "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <netinet/in.h>\n#include <pthread.h>\n#include <signal.h>\n\
         #include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/resource.h>\n\
         #include <sys/socket.h>\n#include <unistd.h>\n\
         static volatile int deep(int n) {{ volatile char page[4096]; page[0] = n; return deep(n + 1) + page[0]; }}\n\
         static void *nothing(void *given) {{ return given; }}\n\
         long long answer(void) {{ return 2; }}\n\
         long long other(void) {{ return deep(0) + (nothing(0) != 0); }}\n\
         __attribute__((constructor)) static void constructed(void) {{\n\
           dprintf(2, \"mark %d\\n\", (int)getpid());\n{constructor}\n}}\n"
    );
    cc(&image, &source, &["-w"]);
    image
}

/// The process that a constructor ran in, as it told on descriptor 2.
pub fn marks(text: &str) -> Vec<u32> {
    let marks = text.lines().filter_map(|line| line.strip_prefix("mark "));
    marks.filter_map(|pid| pid.parse().ok()).collect()
}

/// Checks that a text contains every one of `words`.
///
/// # Panics
///
/// If not.
#[track_caller]
pub fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
}
