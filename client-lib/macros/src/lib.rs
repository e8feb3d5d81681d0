//! The attributes with which contracts and plugins are written.
//!
//! What they make refers to `plugind_abi` (contracts, stable types) and `plugind_plugin` (plugins) by absolute path and
//! to nothing else.
#![forbid(unsafe_code)]

mod argument;
mod contract;
mod edge;
mod host;
mod plugin;
mod shim;
mod signature;
mod stable_type;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a trait the contract between a program and its plugins.
///
/// Every function is called without a `self`. Arguments are references, `&str`, slices, or values that are `Clone`; a
/// result is a value that is `Clone`. All types implement `StableType`. With `type State;` exactly one function,
/// without arguments, returns `Self::State`, and others may take `&Self::State` or `&mut Self::State` first.
///
/// A function with a default body is optional: for a plugin that lacks it the program runs the body, which cannot use the
/// state. So a contract may grow while plugins built with the older one go on.
///
/// Beside the trait stands a type with a method per function, named after it: `GameFunctions` for `Game`. A call gives
/// `Err` when the plugin panicked.
#[proc_macro_attribute]
pub fn contract(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::ItemTrait);
    finish(contract::expand(arguments.into(), item))
}

/// Makes a trait what a program offers its plugins.
///
/// The program implements it for a type of its own. Beside the trait stands the type under which an object of that type
/// is lent to a plugin for one call, named after it: `EngineRef` for `Engine`. A contract's function takes it as
/// `engine: &mut EngineRef<'_>`, the program passes `&mut EngineRef::new(&mut object)`, the plugin calls its methods.
///
/// Every function takes `&self` or `&mut self` first; the other arguments and the result are as in a contract. A panic
/// of the program ends the plugin's call, whose caller gets `Err`. A program may offer more than a plugin knows; a
/// plugin that calls more than the program offers is refused before anything is called.
#[proc_macro_attribute]
pub fn host(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::ItemTrait);
    finish(host::expand(arguments.into(), item))
}

/// Makes an implementation of a contract a plugin's.
///
/// The plugin's name and version are those of its package. Stands on `impl Contract for Type`.
///
/// `#[plugin(own_allocator)]` lets the plugin have a `#[global_allocator]`, with the feature `own_allocator` of
/// `plugind-plugin`. Its state is then never handed to another version.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::ItemImpl);
    finish(plugin::expand(arguments.into(), item))
}

/// Lets a struct or enum cross the boundary, or be a state. Every field's type must be able to.
///
/// On a field, `#[stable_type(unsafe_opaque = "why the layout holds")]` takes a foreign type as it is: two builds of one
/// compiler mean the same by it if size and alignment are equal, and whoever writes the attribute vouches for the rest.
/// `#[stable_type(by_name)]` breaks the circle of two types that mention each other, on one of them.
///
/// A type may mention itself, as `Tree`, `Self` or `self::Tree`. Where rustc says `cycle detected` (E0391), a type leads
/// back to itself in another way: through a second type, an alias, or its own name behind another path. Put `by_name` on
/// one field of the circle, or write the name without the path.
#[proc_macro_derive(StableType, attributes(stable_type))]
pub fn stable_type(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::DeriveInput);
    finish(stable_type::expand(item))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
