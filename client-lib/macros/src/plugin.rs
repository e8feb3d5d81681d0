//! `#[plugin]`: registers an implementation of a contract.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemImpl;

pub(crate) fn expand(arguments: TokenStream, item: ItemImpl) -> syn::Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(syn::Error::new_spanned(
            arguments,
            "`#[plugin]` takes no arguments",
        ));
    }
    let Some((contract, _)) = &item.trait_ else {
        return Err(syn::Error::new_spanned(
            &item.self_ty,
            "`#[plugin]` stands on the implementation of a contract: `impl Contract for Type`",
        ));
    };
    if !item.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &item.generics,
            "a plugin's implementation has no generic parameters",
        ));
    }
    let implementor = &item.self_ty;
    Ok(quote! {
        #item
        const _: () = {
            static IMPLEMENTATION: ::plugind_plugin::__private::Implementation =
                ::plugind_plugin::__private::implementation::<dyn #contract, #implementor>();
            ::plugind_plugin::__register!([] [&IMPLEMENTATION]);
            ::plugind_plugin::__contract!(<dyn #contract as ::plugind_plugin::__private::Contract>::NAME);
        };
    })
}
