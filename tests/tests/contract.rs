//! What the macros refuse they refuse with a hint, each wrong contract compiled for real; and what would make two builds
//! mean something else by one type changes its fingerprint.

use std::fs;
use std::path::Path;

use plugind_abi::stable::StableType;
use plugind_tests::{Home, workspace};

#[test]
fn what_cannot_cross_is_refused_with_a_hint() {
    let home = Home::new();
    let project = home.work().join("contract");
    fs::create_dir_all(project.join("src")).expect("a folder");
    let path = |to: &str| workspace().join(to).display().to_string();
    let manifest = format!(
        "[package]\nname = \"contract\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         plugind-abi = {{ path = {:?} }}\nplugind-macros = {{ path = {:?} }}\n",
        path("client-lib/abi"),
        path("client-lib/macros")
    );
    fs::write(project.join("Cargo.toml"), manifest).expect("the manifest");
    for (item, hint) in [
        (
            "struct Input; CONTRACT { fn f(input: &Input); }",
            "derive(StableType)",
        ),
        (
            "#[derive(StableType)] struct Input { started: std::time::Instant } CONTRACT { fn f(); }",
            "Instant",
        ),
        ("CONTRACT { fn f(input: &dyn Clone); }", "trait object"),
        ("CONTRACT { fn f(input: &mut Vec<u8>); }", "pass a slice"),
        (
            "CONTRACT { fn f(of: &u8) -> &u8; }",
            "how long a reference lives",
        ),
        ("CONTRACT { fn f(text: &str) -> Option<&str>; }", "lifetime"),
        (
            "#[derive(StableType)] struct Part<'a>(&'a str); CONTRACT { fn f(text: &str) -> Part; }",
            "lifetime",
        ),
        ("CONTRACT { unsafe fn f(); }", "plain one"),
        ("CONTRACT { fn f(&mut self); }", "Self::State"),
        ("CONTRACT { fn f<T>(input: &T); }", "generic parameters"),
        ("CONTRACT { async fn f(); }", "not async"),
        (
            "CONTRACT { type State; fn f(state: &Self::State); }",
            "exactly one function",
        ),
        (
            "#[derive(StableType)] union Input { a: u8 } CONTRACT { fn f(); }",
            "which field is valid",
        ),
    ] {
        let source = item.replace("CONTRACT", "#[contract] pub trait Game");
        let lib = format!(
            "#![allow(dead_code)]\nuse plugind_macros::{{StableType, contract}};\n{source}\n"
        );
        fs::write(project.join("src/lib.rs"), lib).expect("the source");
        let said = check(&home, &project);
        assert!(said.contains(hint), "no {hint:?} for {item}:\n{said}");
    }
}

/// What cargo says of a crate that does not compile.
fn check(home: &Home, project: &Path) -> String {
    let output = home
        .command(env!("CARGO"))
        .args(["check", "--offline", "--quiet", "--target-dir"])
        .arg(home.work().join("target"))
        .current_dir(project)
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it compiles");
    said
}

/// Two definitions of one type, each as its own build would see it.
macro_rules! differ {
    ($what:literal, {$($first:tt)*} {$($second:tt)*}) => {{
        mod first {
            #![allow(dead_code, unreachable_pub)]
            #[derive(plugind_macros::StableType)]
            $($first)*
        }
        mod second {
            #![allow(dead_code, unreachable_pub)]
            #[derive(plugind_macros::StableType)]
            $($second)*
            #[allow(unused_imports)]
            use super::BASE;
        }
        assert_ne!(
            first::T::FINGERPRINT,
            second::T::FINGERPRINT,
            "{} makes another type",
            $what
        );
    }};
}

/// What the discriminants below count from.
pub const BASE: u8 = 5;

#[test]
fn what_makes_another_type_makes_another_fingerprint() {
    differ!("a field added", { pub struct T { a: u32 } } { pub struct T { a: u32, b: u32 } });
    differ!("a field renamed", { pub struct T { a: u32 } } { pub struct T { b: u32 } });
    differ!("a field retyped", { pub struct T { a: u32 } } { pub struct T { a: i32 } });
    differ!("fields reordered", { #[repr(C)] pub struct T { a: u8, b: u32 } } { #[repr(C)] pub struct T { b: u32, a: u8 } });
    differ!("a representation", { pub enum T { A(u8, u16, bool) } } { #[repr(u8)] pub enum T { A(u8, u16, bool) } });
    differ!("packing", { #[repr(C)] pub struct T { a: u8, b: u32 } } { #[repr(C, packed)] pub struct T { a: u8, b: u32 } });
    differ!("a variant added", { pub enum T { A, B } } { pub enum T { A, B, C } });
    differ!("a discriminant", { #[repr(u8)] pub enum T { A = 0, B = 1 } } { #[repr(u8)] pub enum T { A = BASE, B = BASE + 1 } });
    differ!("another type of the same name", { pub struct T { a: Score } type Score = u32; } { pub struct T { a: Score } type Score = u64; });
    differ!("a destructor", { pub struct T(u32); } { pub struct T(u32); impl Drop for T { fn drop(&mut self) {} } });
}

#[test]
fn what_looks_the_same_to_the_compiler_is_the_same_type() {
    mod first {
        #![allow(dead_code, unreachable_pub)]
        #[derive(plugind_macros::StableType)]
        pub struct T {
            a: u32,
        }
    }
    mod second {
        #![allow(dead_code, unreachable_pub)]
        type Score = u32;
        /// With another text.
        #[derive(Debug, Clone, plugind_macros::StableType)]
        pub struct T {
            a: Score,
        }
    }
    assert_eq!(first::T::FINGERPRINT, second::T::FINGERPRINT);
}
