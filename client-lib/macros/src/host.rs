//! `#[host]`: the program's shims for any object of the trait, and the methods with which a plugin calls it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, ItemTrait, TraitItem};

use crate::contract::krate;
use crate::shim;
use crate::signature::{Access, Function, Owner, Returned, refuse};

pub(crate) fn expand(arguments: TokenStream, item: ItemTrait) -> syn::Result<TokenStream> {
    if !arguments.is_empty() {
        return refuse(&arguments, "`#[host]` takes no arguments");
    }
    if !item.generics.params.is_empty() || item.generics.where_clause.is_some() {
        return refuse(
            &item.generics,
            "what a program offers has no generic parameters: both sides are compiled before they meet",
        );
    }
    if !item.supertraits.is_empty() {
        return refuse(
            &item.supertraits,
            "what a program offers has no supertraits",
        );
    }
    let functions = item
        .items
        .iter()
        .map(|part| match part {
            TraitItem::Fn(function) => Function::parse(function, Owner::Host),
            other => refuse(other, "what a program offers are functions"),
        })
        .collect::<syn::Result<Vec<_>>>()?;

    let (name, visibility) = (&item.ident, &item.vis);
    let lent = lent_name(name);
    let doc = format!(
        "The program's [`{name}`], lent to a plugin for one call. A panic of the program ends the plugin's call."
    );
    let methods = functions
        .iter()
        .enumerate()
        .filter_map(|(index, function)| method(name, index, function));
    let checks = functions.iter().map(Function::checks);
    let definitions = functions
        .iter()
        .map(|function| shim::definition(name, function, &quote!(__P)));
    let implementation = implementation(name, &functions);
    Ok(quote! {
        #item

        #[doc = #doc]
        #[repr(transparent)]
        #visibility struct #lent<'host> {
            host: ::plugind_abi::host::HostRef<'host>,
        }

        #[automatically_derived]
        impl #lent<'_> {
            #(#methods)*
        }

        const _: () = {
            #(#checks)*
            #(#definitions)*
            #implementation
        };
    })
}

/// How an object is lent, and how both sides compare what it offers.
fn implementation(name: &Ident, functions: &[Function]) -> TokenStream {
    let (text, lent) = (name.to_string(), lent_name(name));
    let described = |index: usize| quote!(&<#lent<'static> as ::plugind_abi::stable::StableType>::TYPE.offers[#index]);
    let all = || functions.iter().enumerate();
    let entries = all().map(|(index, function)| shim::entry(function, &described(index)));
    let signatures = all().map(|(index, function)| shim::signature(function, &described(index)));
    let descriptions = functions.iter().map(Function::description);
    let krate = krate();
    quote! {
        struct __Shims<__P>(::core::marker::PhantomData<__P>);

        #[automatically_derived]
        impl<__P: #name> __Shims<__P> {
            const FUNCTIONS: &'static [::plugind_abi::contract::Function] = &[#(#entries),*];
        }

        #[automatically_derived]
        impl<'host> #lent<'host> {
            /// Lends the program's object.
            pub fn new<__P: #name>(object: &'host mut __P) -> Self {
                Self {
                    // SAFETY: the shims are made from the trait, for this type.
                    host: unsafe { ::plugind_abi::host::HostRef::new(object, __Shims::<__P>::FUNCTIONS) },
                }
            }
        }

        #[automatically_derived]
        // SAFETY: two pointers and a number; what is called through them is compared function by function.
        unsafe impl ::plugind_abi::stable::StableType for #lent<'_> {
            const NAME: &'static ::plugind_abi::describe::Name =
                &::plugind_abi::describe::Name::declared(#text, #krate, &[]);
            const TYPE: &'static ::plugind_abi::describe::Type = &::plugind_abi::describe::Type::host::<Self>(
                Self::NAME,
                const { &[#(#descriptions),*] },
            );
            const OFFERED: ::plugind_abi::host::Offered = ::plugind_abi::host::Offered::of(#text, {
                const __SIGNATURES: &[::plugind_abi::contract::Signature] = &[#(#signatures),*];
                __SIGNATURES
            });
        }
    }
}

/// The plugin's side.
fn method(host: &Ident, index: usize, function: &Function) -> Option<TokenStream> {
    let Returned::Value(result) = &function.result else {
        return None;
    };
    let name = &function.name;
    let text = format!("{host}::{name}");
    let docs = function.docs();
    let receiver = match function.state {
        Some(Access::Exclusive) => quote!(&mut self),
        _ => quote!(&self),
    };
    let (names, types) = function.named_arguments();
    let call = shim::call(function, result, &quote!(self.host.object()));
    // As the name of what panicked.
    let dropped = quote!(::core::concat!("drop of ", #text, "'s result"));
    Some(quote! {
        #(#docs)*
        #[inline]
        pub fn #name(#receiver #(, #names: #types)*) -> #result {
            let __offered = <Self as ::plugind_abi::stable::StableType>::OFFERED;
            let (__call, __drop_result) = self.host.function(#index, &__offered.signatures()[#index]);
            let (__returned, __room, __report) = #call;
            ::plugind_abi::host::returned(__returned.status(), __report, #text);
            // SAFETY: the call wrote a result, as its status says.
            unsafe {
                ::plugind_abi::contract::take_result(__returned, __room, __drop_result, |__report| {
                    ::plugind_abi::host::lost(__report, #dropped)
                })
            }
        }
    })
}

fn lent_name(name: &Ident) -> Ident {
    format_ident!("{name}Ref")
}
