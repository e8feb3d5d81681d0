//! `#[contract]`: the trait, the plugin's shims for any implementor, and the program's methods.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, ItemTrait, TraitItem};

use crate::shim;
use crate::signature::{Access, Function, Owner, Returned};

pub(crate) fn expand(arguments: TokenStream, mut item: ItemTrait) -> syn::Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(syn::Error::new_spanned(
            arguments,
            "`#[contract]` takes no arguments",
        ));
    }
    if !item.generics.params.is_empty() || item.generics.where_clause.is_some() {
        return Err(syn::Error::new_spanned(
            &item.generics,
            "a contract has no generic parameters: both sides are compiled before they meet",
        ));
    }
    if !item.supertraits.is_empty() {
        return Err(syn::Error::new_spanned(
            &item.supertraits,
            "a contract has no supertraits",
        ));
    }
    if let Some(token) = &item.unsafety {
        return Err(syn::Error::new_spanned(token, "a contract is a safe trait"));
    }
    let has_state = check_items(&item)?;
    let functions = parse_functions(&item, has_state)?;
    sized_items(&mut item);

    let shims = shims(&item.ident, &functions, has_state);
    let methods = methods(&item, &functions);
    let checks = functions.iter().map(Function::checks);
    let contract = contract_impl(&item.ident, &functions, has_state);
    Ok(quote! {
        #item
        #methods
        const _: () = {
            #(#checks)*
            #contract
            #shims
        };
    })
}

/// True if there is a `type State;`.
fn check_items(item: &ItemTrait) -> syn::Result<bool> {
    let mut has_state = false;
    for part in &item.items {
        match part {
            TraitItem::Fn(_) => {}
            TraitItem::Type(ty) if ty.ident == "State" => {
                if !ty.bounds.is_empty() || ty.default.is_some() || !ty.generics.params.is_empty() {
                    return Err(syn::Error::new_spanned(
                        ty,
                        "write `type State;`, without bounds or default",
                    ));
                }
                has_state = true;
            }
            other => {
                return Err(syn::Error::new_spanned(
                    other,
                    "a contract has functions, and at most `type State;`",
                ));
            }
        }
    }
    Ok(has_state)
}

fn parse_functions(item: &ItemTrait, has_state: bool) -> syn::Result<Vec<Function>> {
    let functions: Vec<_> = item
        .items
        .iter()
        .filter_map(|part| match part {
            TraitItem::Fn(function) => {
                Some(Function::parse(function, Owner::Contract { has_state }))
            }
            _ => None,
        })
        .collect::<syn::Result<_>>()?;
    let starts = functions
        .iter()
        .filter(|function| matches!(function.result, Returned::State))
        .count();
    if has_state && starts != 1 {
        return Err(syn::Error::new_spanned(
            &item.ident,
            "a contract with `type State;` has exactly one function that returns `Self::State`",
        ));
    }
    Ok(functions)
}

/// `dyn Trait` names the contract, which is legal if every item says that it is not for trait objects.
fn sized_items(item: &mut ItemTrait) {
    for part in &mut item.items {
        match part {
            TraitItem::Fn(function) => {
                function.sig.generics.where_clause =
                    Some(syn::parse_quote!(where Self: ::core::marker::Sized));
                if function.default.is_some() {
                    // Such a body cannot use the state, for instance.
                    let allow = syn::parse_quote!(#[allow(unused_variables)]);
                    function.attrs.push(allow);
                }
            }
            TraitItem::Type(ty) => {
                ty.colon_token = Some(Default::default());
                ty.bounds = syn::parse_quote!(
                    ::plugind_abi::stable::StableType + ::core::marker::Send + 'static
                );
                ty.generics.where_clause =
                    Some(syn::parse_quote!(where Self: ::core::marker::Sized));
            }
            _ => {}
        }
    }
}

fn contract_impl(name: &Ident, functions: &[Function], has_state: bool) -> TokenStream {
    let text = name.to_string();
    let binding = binding_name(name);
    let descriptions = functions.iter().map(Function::description);
    let signatures = functions
        .iter()
        .enumerate()
        .map(|(index, function)| shim::signature(function, &described(name, index)));
    let krate = krate();
    let start = start(functions);
    quote! {
        #[automatically_derived]
        // SAFETY: everything below is made from one trait.
        unsafe impl ::plugind_abi::contract::Contract for dyn #name {
            const NAME: &'static str = #text;
            const DESCRIPTION: &'static ::plugind_abi::describe::Contract = &::plugind_abi::describe::Contract {
                name: #text,
                krate: #krate,
                functions: &[#(#descriptions),*],
            };
            #[allow(long_running_const_eval)]
            const MANIFEST: &'static [u8] = {
                const __CONTRACT: &::plugind_abi::describe::Contract =
                    <dyn #name as ::plugind_abi::contract::Contract>::DESCRIPTION;
                const __LEN: usize =
                    ::plugind_abi::describe::contract_len(__CONTRACT, ::core::option::Option::None);
                &::plugind_abi::describe::write_contract::<__LEN>(__CONTRACT, ::core::option::Option::None)
            };
            const FUNCTIONS: &'static [::plugind_abi::contract::Signature] = &[#(#signatures),*];
            const STATEFUL: bool = #has_state;
            type Functions = #binding;

            fn start(table: &'static ::plugind_abi::contract::Table<Self>)
                -> ::core::result::Result<*mut (), ::plugind_abi::boundary::Fault>
            {
                #start
            }
        }
    }
}

/// The program's side: a type with a method per function.
fn methods(item: &ItemTrait, functions: &[Function]) -> TokenStream {
    let (name, visibility) = (&item.ident, &item.vis);
    let binding = binding_name(name);
    let doc = format!(
        "The functions of a plugin that implements [`{name}`], in the version that is current."
    );
    let methods = functions
        .iter()
        .enumerate()
        .filter_map(|(index, function)| method(index, function));
    quote! {
        #[doc = #doc]
        #visibility struct #binding {
            bound: ::plugind_abi::contract::Bound<dyn #name>,
        }

        #[automatically_derived]
        impl #binding {
            #(#methods)*
        }

        #[automatically_derived]
        impl ::plugind_abi::contract::Binding<dyn #name> for #binding {
            fn bind(bound: ::plugind_abi::contract::Bound<dyn #name>) -> Self {
                Self { bound }
            }
            fn bound(&self) -> &::plugind_abi::contract::Bound<dyn #name> {
                &self.bound
            }
            fn bound_mut(&mut self) -> &mut ::plugind_abi::contract::Bound<dyn #name> {
                &mut self.bound
            }
        }
    }
}

fn method(index: usize, function: &Function) -> Option<TokenStream> {
    let Returned::Value(result) = &function.result else {
        return None;
    };
    let (name, text) = (&function.name, function.name.to_string());
    // As the name of what panicked.
    let dropped = quote!(::core::concat!("drop of ", #text, "'s result"));
    let docs = function.docs();
    let receiver = match function.state {
        Some(Access::Exclusive) => quote!(&mut self),
        _ => quote!(&self),
    };
    let (names, types) = function.named_arguments();
    let patterns = function.patterns();
    // Without the state, which only the plugin can look into.
    let fallback = function.default.as_ref().map(|body| {
        quote! {
            if __call.is_null() {
                #[allow(unused_variables)]
                fn __fallback(#(#patterns: #types),*) -> #result #body
                return ::core::result::Result::Ok(__fallback(#(#names),*));
            }
        }
    });
    let call = shim::call(function, result, &quote!(self.bound.state()));
    Some(quote! {
        #(#docs)*
        ///
        /// # Errors
        ///
        /// When the plugin panicked.
        #[inline]
        pub fn #name(#receiver #(, #names: #types)*)
            -> ::core::result::Result<#result, ::plugind_abi::boundary::Fault>
        {
            // The address is that of the function with this fingerprint (kept by `Table::new`), and the state is the
            // contract's.
            let (__call, __drop_result) = self.bound.table().function(#index);
            #fallback
            let (__returned, __room, __report) = #call;
            self.bound.table().finish(__returned.status(), __report, #text)?;
            // SAFETY: the call wrote a result, as its status says.
            ::core::result::Result::Ok(unsafe {
                self.bound.table().take_result(__returned, __room, __drop_result, #dropped)
            })
        }
    })
}

/// How a state is made.
fn start(functions: &[Function]) -> TokenStream {
    let start = functions
        .iter()
        .enumerate()
        .find(|(_, function)| matches!(function.result, Returned::State));
    let Some((index, function)) = start else {
        return quote!(::core::result::Result::Ok(::core::ptr::null_mut()));
    };
    let (text, shim) = (function.name.to_string(), shim::type_of(function));
    quote! {
        let (call, _) = table.function(#index);
        // SAFETY: the address is that of the function with this fingerprint (kept by `Table`'s maker).
        let call = unsafe { ::core::mem::transmute::<*const (), #shim>(call) };
        let mut report = ::plugind_abi::boundary::Report::new();
        let mut room = ::core::mem::MaybeUninit::<*mut ()>::uninit();
        // SAFETY: room and report are valid for the call, and no state is looked at.
        let returned = unsafe { call(::core::ptr::null_mut(), room.as_mut_ptr(), &raw mut report) };
        table.finish(returned.status(), report, #text)?;
        // SAFETY: the call wrote a result, as its status says; a pointer has nothing to drop.
        ::core::result::Result::Ok(unsafe {
            ::plugind_abi::contract::take_result(returned, room, ::core::ptr::null(), |_| {})
        })
    }
}

/// The plugin's side: shims, generic over the implementor.
fn shims(name: &Ident, functions: &[Function], has_state: bool) -> TokenStream {
    let definitions = functions
        .iter()
        .map(|function| shim::definition(name, function, &quote!(<__P as #name>::State)));
    let entries = functions
        .iter()
        .enumerate()
        .map(|(index, function)| shim::entry(function, &described(name, index)));
    let (state, state_type) = if has_state {
        (
            quote!(::plugind_abi::contract::State::of::<<__P as #name>::State>()),
            quote!(::core::option::Option::Some(
                <<__P as #name>::State as ::plugind_abi::stable::StableType>::TYPE
            )),
        )
    } else {
        (
            quote!(::plugind_abi::contract::State::none()),
            quote!(::core::option::Option::None),
        )
    };
    quote! {
        #(#definitions)*

        #[automatically_derived]
        // SAFETY: everything below is made from one trait.
        unsafe impl<__P: #name + 'static> ::plugind_abi::contract::ImplementedBy<__P> for dyn #name {
            const FUNCTIONS: &'static [::plugind_abi::contract::Function] = &[#(#entries),*];
            const STATE: ::plugind_abi::contract::State = #state;
            const STATE_TYPE: ::core::option::Option<&'static ::plugind_abi::describe::Type> = #state_type;
        }
    }
}

/// The description of one function of the contract `name`.
fn described(name: &Ident, index: usize) -> TokenStream {
    quote!(&<dyn #name as ::plugind_abi::contract::Contract>::DESCRIPTION.functions[#index])
}

/// Name and version of the crate that is being compiled, where cargo compiles it.
pub(crate) fn krate() -> TokenStream {
    quote! {
        ::core::concat!(::core::env!("CARGO_PKG_NAME"), " ", ::core::env!("CARGO_PKG_VERSION"))
    }
}

fn binding_name(name: &Ident) -> Ident {
    format_ident!("{name}Functions")
}
