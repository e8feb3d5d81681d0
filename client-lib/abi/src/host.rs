//! What a program offers its plugins: functions under a trait's name, called through an object that the program lends
//! for one call.
//!
//! The mirror of [`crate::contract`]: here the shims are the program's, and the plugin calls. A plugin finds a function
//! by its fingerprint, so a newer program may offer more. That a program offers what a plugin may call is compared when
//! the plugin's contract is bound, before anything is called.

use std::marker::PhantomData;

use crate::boundary::{Report, Status};
use crate::contract::{Function, Signature};
use crate::registration::Text;

/// The functions of a `#[host]` trait, as one build knows them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// The trait's name; empty for an argument that is no program's object.
    name: Text,
    signatures: *const Signature,
    count: usize,
}

// SAFETY: written at compile time and only read afterwards; `signatures` points to a static of the same image.
unsafe impl Sync for Offered {}
// SAFETY: as above.
unsafe impl Send for Offered {}

impl Offered {
    /// Of an argument that is no program's object.
    pub const fn none() -> Self {
        Self::of("", &[])
    }

    /// The functions of the trait `name`.
    pub const fn of(name: &'static str, signatures: &'static [Signature]) -> Self {
        Self {
            name: Text::new(name),
            signatures: signatures.as_ptr(),
            count: signatures.len(),
        }
    }

    /// The trait's name.
    pub fn name(&self) -> Text {
        self.name
    }

    /// What each function looks like.
    pub fn signatures(&self) -> &'static [Signature] {
        // SAFETY: pointer and length come from one static slice of an image that is never unmapped (kept by `of`).
        unsafe { std::slice::from_raw_parts(self.signatures, self.count) }
    }
}

/// A program's object, lent to a plugin for one call. Generated code wraps it.
#[repr(C)]
#[derive(Debug)]
pub struct HostRef<'a> {
    object: *mut (),
    functions: *const Function,
    count: usize,
    lent: PhantomData<&'a mut ()>,
}

impl<'a> HostRef<'a> {
    /// Lends an object.
    ///
    /// # Safety
    ///
    /// The functions are the shims of a `#[host]` trait for the type `H`.
    pub unsafe fn new<H>(object: &'a mut H, functions: &'static [Function]) -> Self {
        Self {
            object: std::ptr::from_mut(object).cast(),
            functions: functions.as_ptr(),
            count: functions.len(),
            lent: PhantomData,
        }
    }

    /// What the shims take first.
    #[inline]
    pub fn object(&self) -> *mut () {
        self.object
    }

    /// The call and the result dropper of the function that looks like this. `index` is where it stands if both builds
    /// know the same functions.
    ///
    /// # Panics
    ///
    /// If the program does not offer it, which binding has excluded.
    #[inline]
    pub fn function(&self, index: usize, wanted: &Signature) -> (*const (), *const ()) {
        // SAFETY: pointer and length come from one static slice (kept by `new`).
        let functions = unsafe { std::slice::from_raw_parts(self.functions, self.count) };
        let expected = functions.get(index);
        let found = expected.filter(|function| function.signature.print == wanted.print);
        let found = found.or_else(|| {
            let mut all = functions.iter();
            all.find(|function| function.signature.print == wanted.print)
        });
        let function = found.expect("binding has found the function in the program");
        (function.call, function.drop_result)
    }
}

/// The end of a call into the program: if the program's function panicked, the plugin's call ends with that.
#[inline]
pub fn returned(status: Status, report: Report, function: &'static str) {
    if status != Status::OK {
        report.end_call(function);
    }
    // Nothing was told (kept by `guard`), so there is nothing to drop.
    std::mem::forget(report);
}

/// A panic of the program while it dropped a result that a plugin had taken: it ends no call.
#[cold]
pub fn lost(report: Report, dropped: &'static str) {
    let (message, location) = report.told();
    let location = location.map_or_else(String::new, |location| format!(" ({location})"));
    eprintln!("the program panicked in `{dropped}`: {message}{location}");
}
