//! `register!`, and what it is made of.

/// Registers `extern "C"` functions and statics of a plugin under their own names.
///
/// `register! { answer, add, static LIVES }` records the plugin's name and version, which are its package's, and the
/// addresses of the functions and statics. It may stand several times, in several modules; a name that is registered
/// twice makes the program refuse the plugin and say which.
///
/// Functions must be `extern "C"`: a program that looks one up by name states its type, and only the C calling
/// convention is the same in two builds. A `static` that a program is meant to write must say so by its type (an
/// atomic, for instance).
///
/// ```compile_fail
/// plugind_plugin::register! { nothing_of_this_name }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register {
    ($($symbols:tt)*) => {
        const _: () = {
            $crate::__register!([$($symbols)*] []);
        };
    };
}

/// The note, the node and the constructor that links it.
#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    ([$($symbols:tt)*] [$($implementation:expr)?]) => {
        const PLUGIN: &str = ::core::env!("CARGO_PKG_NAME");
        const SEMVER: &str = ::core::env!("CARGO_PKG_VERSION");

        const IDENTITY: $crate::__private::Identity = $crate::__private::Identity {
            plugin: PLUGIN,
            semver: SEMVER,
            profile: if ::core::cfg!(debug_assertions) { "debug" } else { "release" },
            panic: if ::core::cfg!(panic = "abort") { "abort" } else { "unwind" },
            features: $crate::__features!(),
            allocator: $crate::__private::ALLOCATOR,
        };

        #[used]
        #[cfg_attr(target_os = "linux", unsafe(link_section = ".note.plugind"))]
        static NOTE: $crate::__private::Note<{ IDENTITY.len() }> =
            $crate::__private::Note::identity(&IDENTITY);

        static SYMBOLS: &[$crate::__private::Symbol] = $crate::__symbols!($($symbols)*);

        static NODE: $crate::__private::Registration =
            $crate::__private::Registration::new(PLUGIN, SEMVER, SYMBOLS)
                $(.implementing($implementation))?;

        extern "C" fn construct() {
            $crate::__private::push(&NODE);
        }

        #[used]
        #[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
        #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
        #[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
        static CONSTRUCTOR: extern "C" fn() = construct;
    };
}

/// The note that describes a contract, and the state of the type that implements it.
#[doc(hidden)]
#[macro_export]
macro_rules! __contract {
    ($contract:ty, $implementor:ty) => {
        const DESCRIPTION: &$crate::__private::Description =
            <$contract as $crate::__private::Contract>::DESCRIPTION;
        const STATE: ::core::option::Option<&$crate::__private::Type> =
            <$contract as $crate::__private::ImplementedBy<$implementor>>::STATE_TYPE;
        #[allow(long_running_const_eval)]
        const LEN: usize = $crate::__private::contract_len(DESCRIPTION, STATE);

        #[used]
        #[cfg_attr(target_os = "linux", unsafe(link_section = ".note.plugind"))]
        #[allow(long_running_const_eval)]
        static CONTRACT: $crate::__private::Note<LEN> =
            $crate::__private::Note::implements(DESCRIPTION, STATE);
    };
}

/// What `#[plugin(own_allocator)]` needs.
#[doc(hidden)]
#[macro_export]
#[cfg(any(feature = "static", feature = "own_allocator"))]
macro_rules! __own_allocator {
    () => {};
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(any(feature = "static", feature = "own_allocator")))]
macro_rules! __own_allocator {
    () => {
        ::core::compile_error!(
            "`#[plugin(own_allocator)]` needs `plugind-plugin` without its allocator: write `features = \
             [\"own_allocator\"]` for `plugind-plugin` in Cargo.toml"
        );
    };
}

/// A list of names, each of a function or, after `static`, of a static.
#[doc(hidden)]
#[macro_export]
macro_rules! __symbols {
    // `static` is matched as an `ident` here, which keeps the list a repetition: there is no limit to its length.
    ($($first:ident $($second:ident)?),* $(,)?) => {
        &[$($crate::__symbol!($first $($second)?)),*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __symbol {
    (static $name:ident) => {
        $crate::__private::Symbol {
            name: $crate::__private::Text::new(::core::stringify!($name)),
            kind: $crate::__private::Kind::VARIABLE,
            address: (&raw const $name).cast::<()>(),
        }
    };
    ($name:ident) => {
        $crate::__private::Symbol {
            name: $crate::__private::Text::new(::core::stringify!($name)),
            kind: $crate::__private::Kind::FUNCTION,
            address: $name as *const (),
        }
    };
}
