//! A contract: functions that a plugin offers under a trait's name, and the small types through which a generated
//! binding calls them.
//!
//! `#[contract]` expands on this module alone. On the plugin's side it makes, for any implementor, a static list of
//! [`Function`]s, which the plugin registers. On the program's side it makes a type with one method per function; its
//! [`Table`] holds the addresses in the order of the program's contract, resolved by name and fingerprint once per
//! version.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::boundary::{self, Fault, Report, Returned, Status, guard};
use crate::describe;
use crate::host::Offered;
use crate::registration::Text;
use crate::stable::StableType;

/// A fingerprint that crosses the boundary: two words, because the alignment of `u128` in C is not the same for every
/// compiler.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    high: u64,
    low: u64,
}

impl Print {
    /// Splits a hash.
    pub const fn new(hash: u128) -> Self {
        Self {
            high: (hash >> 64) as u64,
            low: hash as u64,
        }
    }
}

/// What one function looks like.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Signature {
    /// Its name in the trait.
    pub name: Text,
    /// Its text in the trait, for people.
    pub text: Text,
    /// Folds name, arguments and result.
    pub print: Print,
    /// 1 if every type in it has a layout that no compiler decides.
    pub fixed: u32,
    /// 1 if a plugin may lack it.
    pub optional: u32,
    /// Per argument, what a plugin may call through it.
    hosts: *const Offered,
    hosts_count: usize,
}

impl Signature {
    /// Of a function that is described; `hosts` has one entry per argument.
    pub const fn new(function: &'static describe::Function, hosts: &'static [Offered]) -> Self {
        Self {
            name: Text::new(function.name),
            text: Text::new(function.text),
            print: Print::new(function.print),
            fixed: function.fixed as u32,
            optional: function.optional as u32,
            hosts: hosts.as_ptr(),
            hosts_count: hosts.len(),
        }
    }

    /// Per argument, what a plugin may call through it.
    pub fn hosts(&self) -> &'static [Offered] {
        // SAFETY: pointer and length come from one static slice of an image that is never unmapped (kept by `new`,
        // which alone makes signatures).
        unsafe { std::slice::from_raw_parts(self.hosts, self.hosts_count) }
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: the text is a static string of an image that is never unmapped.
        f.write_str(&unsafe { self.text.lossy() })
    }
}

/// One function of a plugin, or of a program's object.
#[repr(C)]
#[derive(Debug)]
pub struct Function {
    /// What it looks like.
    pub signature: Signature,
    /// The shim that calls it.
    pub call: *const (),
    /// Drops a result where it was made; null where there is nothing to drop.
    pub drop_result: *const (),
}

// SAFETY: written at compile time and only read afterwards.
unsafe impl Sync for Function {}
// SAFETY: as above.
unsafe impl Sync for Signature {}
// SAFETY: a signature is text and numbers.
unsafe impl Send for Signature {}

/// The state that a contract's functions share.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// 1 if the contract has one.
    pub present: u32,
    /// 1 if its layout is decided by no compiler.
    pub fixed: u32,
    /// 1 if only the version that made it can free it.
    pub own_allocator: u32,
    /// Of the state's type.
    pub print: Print,
    /// The type's name, for people.
    pub name: Text,
    /// Drops a boxed state.
    pub drop: unsafe extern "C" fn(*mut (), *mut Report) -> Status,
}

/// One contract that a plugin implements.
#[repr(C)]
#[derive(Debug)]
pub struct Implementation {
    /// The contract's name.
    contract: Text,
    /// The first of `count` functions.
    functions: *const Function,
    /// How many.
    count: usize,
    /// Their state.
    state: State,
}

// SAFETY: written at compile time and only read afterwards; `functions` points to a static of the same image.
unsafe impl Sync for Implementation {}

impl State {
    /// Of a contract without one.
    pub const fn none() -> Self {
        Self {
            present: 0,
            fixed: 1,
            own_allocator: 0,
            print: Print::new(0),
            name: Text::new(""),
            drop: drop_state::<()>,
        }
    }

    /// Of this type.
    ///
    /// # Panics
    ///
    /// If the type holds a reference, which is then a compile error.
    pub const fn of<T: StableType + Send + 'static>() -> Self {
        assert!(
            !T::TYPE.borrows,
            "a state holds no `&'static`: it would point into the version that made it, and a saved state has no such place; own the value"
        );
        Self {
            present: 1,
            fixed: T::FIXED as u32,
            own_allocator: 0,
            print: Print::new(T::FINGERPRINT),
            name: Text::new(T::NAME.text),
            drop: drop_state::<T>,
        }
    }
}

#[unsafe(link_section = "plugind_shims")]
#[inline(never)]
unsafe extern "C" fn drop_state<T>(state: *mut (), report: *mut Report) -> Status {
    // SAFETY: the state is a box of this type and is not used again (kept by the instance that owns it).
    let state = unsafe { Box::from_raw(state.cast::<T>()) };
    // SAFETY: the report is the caller's, made for this call.
    unsafe { guard(report, std::ptr::null_mut(), || drop(state)) }.status()
}

/// How a result of this type is dropped where it was made; null if there is nothing to drop.
pub const fn drop_result<T>() -> *const () {
    #[unsafe(link_section = "plugind_shims")]
    #[inline(never)]
    unsafe extern "C" fn drop_in_place<T>(result: *mut T, report: *mut Report) -> Status {
        // SAFETY: the result is valid, was made on this side, and is not used again (kept by `take_result`).
        let result = unsafe { result.read() };
        // SAFETY: the report is the caller's, made for this call.
        unsafe { guard(report, std::ptr::null_mut(), || drop(result)) }.status()
    }
    if std::mem::needs_drop::<T>() {
        drop_in_place::<T> as *const ()
    } else {
        std::ptr::null()
    }
}

/// Makes this side's own copy of a result, and has the other side drop the one it made: each allocator frees what it
/// allocated. A panic while that is done loses what the result held, and nothing else: `lost` is told.
///
/// # Safety
///
/// The call ended with a result and had this `room` for it, and `drop` is null or that function's [`drop_result`] for the same type.
#[inline]
pub unsafe fn take_result<T: Clone>(
    returned: Returned,
    room: MaybeUninit<T>,
    drop: *const (),
    lost: impl FnOnce(Report),
) -> T {
    let mut result = returned.result(room);
    if !std::mem::needs_drop::<T>() {
        // SAFETY: written (kept by the caller).
        return unsafe { result.assume_init() };
    }
    type Drop<T> = unsafe extern "C" fn(*mut T, *mut Report) -> Status;
    // SAFETY: written (kept by the caller).
    let copy = unsafe { result.assume_init_ref() }.clone();
    // SAFETY: null or the function's own (kept by the caller), and both are values of the type.
    let drop = unsafe { std::mem::transmute::<*const (), Option<Drop<T>>>(drop) };
    if let Some(drop) = drop {
        let mut report = Report::new();
        // SAFETY: the result is not used again.
        if unsafe { drop(result.as_mut_ptr(), &raw mut report) } != Status::OK {
            lost(report);
        }
    }
    copy
}

/// A contract, as a program sees it: implemented for `dyn Trait` by `#[contract]`.
///
/// # Safety
///
/// The methods of `Functions` call the entries of a table with the types that the fingerprints of `FUNCTIONS` stand for,
/// and what `start` gives is as it says.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no contract",
    label = "no contract",
    note = "put `#[contract]` on the trait"
)]
pub unsafe trait Contract: 'static {
    /// The trait's name.
    const NAME: &'static str;
    /// What it looks like.
    const DESCRIPTION: &'static describe::Contract;
    /// The same, written down as in the note of a plugin that implements it, but for the state.
    const MANIFEST: &'static [u8];
    /// Its functions, in order, as they are found at run time.
    const FUNCTIONS: &'static [Signature];
    /// Whether its functions share a state.
    const STATEFUL: bool;
    /// The functions' generated methods.
    type Functions: Binding<Self>;

    /// Calls the function that makes a state: a box of the type of the table's state, or null for a contract without
    /// one.
    ///
    /// # Errors
    ///
    /// What it panicked with.
    fn start(table: &'static Table<Self>) -> Result<*mut (), Fault>;
}

/// A contract, as the plugin that implements it by `P` sees it.
///
/// # Safety
///
/// The functions have the types that their fingerprints stand for, and work on the state's type.
pub unsafe trait ImplementedBy<P>: Contract {
    /// In the order of the plugin's contract.
    const FUNCTIONS: &'static [Function];
    /// What they share.
    const STATE: State;
    /// What that looks like.
    const STATE_TYPE: Option<&'static describe::Type>;
}

impl Implementation {
    /// Of a contract, by `P`.
    pub const fn of<C: ImplementedBy<P> + ?Sized, P>() -> Self {
        Self {
            contract: Text::new(C::NAME),
            functions: <C as ImplementedBy<P>>::FUNCTIONS.as_ptr(),
            count: <C as ImplementedBy<P>>::FUNCTIONS.len(),
            state: <C as ImplementedBy<P>>::STATE,
        }
    }

    /// The same by a plugin of which it is known whether it may have an allocator of its own.
    #[must_use]
    pub const fn allocating(mut self, own_allocator: bool) -> Self {
        self.state.own_allocator = own_allocator as u32;
        self
    }

    /// The contract's name.
    pub fn contract(&self) -> Text {
        self.contract
    }

    /// The plugin's functions.
    pub fn functions(&'static self) -> &'static [Function] {
        // SAFETY: pointer and length come from one static slice (kept by `of`, which alone makes these).
        unsafe { std::slice::from_raw_parts(self.functions, self.count) }
    }

    /// The state that they share.
    pub fn state(&self) -> State {
        self.state
    }
}

/// The generated type with a contract's methods.
pub trait Binding<C: Contract + ?Sized> {
    /// Gives the methods a version's functions and a state to work on.
    fn bind(bound: Bound<C>) -> Self;
    /// What it is bound to.
    fn bound(&self) -> &Bound<C>;
    /// What it is bound to, to be handed on.
    fn bound_mut(&mut self) -> &mut Bound<C>;
}

/// A version's functions in the order of the program's contract `C`.
pub struct Table<C: ?Sized> {
    plugin: String,
    version: u64,
    toolchain: String,
    functions: Box<[(*const (), *const ())]>,
    state: State,
    contract: PhantomData<fn() -> Box<C>>,
}

// SAFETY: addresses in an image that is never unmapped, read only.
unsafe impl<C: ?Sized> Sync for Table<C> {}
// SAFETY: as above.
unsafe impl<C: ?Sized> Send for Table<C> {}

impl<C: Contract + ?Sized> Table<C> {
    /// Makes a table of resolved functions.
    ///
    /// # Safety
    ///
    /// `functions` are, in the order of `C::FUNCTIONS`, the calls and result droppers of functions with these
    /// fingerprints, or null for an optional one that is not there, of one image that is never unmapped and was built by `toolchain` if a layout is the compiler's;
    /// `state` is the state on which they work.
    pub unsafe fn new(
        plugin: String,
        version: u64,
        toolchain: String,
        functions: Box<[(*const (), *const ())]>,
        state: State,
    ) -> Self {
        Self {
            plugin,
            version,
            toolchain,
            functions,
            state,
            contract: PhantomData,
        }
    }

    /// The call and the result dropper of the function at `index` of the contract; null if the version lacks it.
    #[inline]
    pub fn function(&self, index: usize) -> (*const (), *const ()) {
        self.functions[index]
    }

    /// The version's number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The compiler and target that built the version.
    pub fn toolchain(&self) -> &str {
        &self.toolchain
    }

    /// The state on which the functions work.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The result of a call, or why there is none.
    ///
    /// # Errors
    ///
    /// The panic that ended the call.
    #[inline]
    pub fn finish(
        &self,
        status: Status,
        report: Report,
        function: &'static str,
    ) -> Result<(), Fault> {
        if status == Status::OK {
            // Nothing was told (kept by `guard`), so there is nothing to drop.
            std::mem::forget(report);
            return Ok(());
        }
        Err(self.fault(report, function))
    }

    /// This side's own copy of the result of a call, of which `dropped` names the drop.
    ///
    /// # Safety
    ///
    /// As that of [`take_result`].
    #[inline]
    pub unsafe fn take_result<T: Clone>(
        &self,
        returned: Returned,
        room: MaybeUninit<T>,
        drop: *const (),
        dropped: &'static str,
    ) -> T {
        let lost = |report| boundary::lost(self.fault(report, dropped));
        // SAFETY: kept by the caller.
        unsafe { take_result(returned, room, drop, lost) }
    }

    #[cold]
    #[inline(never)]
    fn fault(&self, report: Report, function: &'static str) -> Fault {
        report.into_fault(&self.plugin, self.version, function)
    }
}

/// A table, and the state on which its functions work. It owns the state, which the version that has it last drops.
pub struct Bound<C: Contract + ?Sized> {
    table: &'static Table<C>,
    state: *mut (),
}

// SAFETY: a state is `Send` (kept by the bound that `#[contract]` puts on it), and the table is read only. There is no
// `Sync`: a state may be used by one thread at a time only.
unsafe impl<C: Contract + ?Sized> Send for Bound<C> {}

impl<C: Contract + ?Sized> Drop for Bound<C> {
    fn drop(&mut self) {
        if self.state.is_null() {
            return;
        }
        let mut report = Report::new();
        // SAFETY: the state is of the table's type (kept by `new` and `hand_to`) and is not used again.
        let status = unsafe { (self.table.state.drop)(self.state, &raw mut report) };
        if status != Status::OK {
            boundary::lost(self.table.fault(report, "drop of the state"));
        }
    }
}

impl<C: Contract + ?Sized> Bound<C> {
    /// Puts both together.
    ///
    /// # Safety
    ///
    /// `state` is null for a contract without a state, else it came from the `start` of this table, and nobody else
    /// uses or drops it.
    pub unsafe fn new(table: &'static Table<C>, state: *mut ()) -> Self {
        Self { table, state }
    }

    /// The version's functions.
    #[inline]
    pub fn table(&self) -> &'static Table<C> {
        self.table
    }

    /// The state, or null.
    #[inline]
    pub fn state(&self) -> *mut () {
        self.state
    }

    /// Puts the functions of another version in the place of these.
    ///
    /// # Safety
    ///
    /// The other version means the same by the state's type: the fingerprints are equal, and the compilers too if one
    /// decided the layout. Both free with the system's allocator.
    pub unsafe fn hand_to(&mut self, table: &'static Table<C>) {
        self.table = table;
    }
}
