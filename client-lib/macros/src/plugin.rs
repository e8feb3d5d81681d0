//! `#[plugin]`: registers an implementation of a contract.

use proc_macro2::{TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::ItemImpl;

use crate::signature::refuse;

pub(crate) fn expand(arguments: TokenStream, item: ItemImpl) -> syn::Result<TokenStream> {
    let own_allocator = own_allocator(arguments)?;
    let Some((contract, _)) = &item.trait_ else {
        return refuse(
            &item.self_ty,
            "`#[plugin]` stands on the implementation of a contract: `impl Contract for Type`",
        );
    };
    if !item.generics.params.is_empty() {
        return refuse(
            &item.generics,
            "a plugin's implementation has no generic parameters: write one for each type",
        );
    }
    let implementor = &item.self_ty;
    Ok(quote! {
        #item
        const _: () = {
            #own_allocator
            static IMPLEMENTATION: ::plugind_plugin::__private::Implementation =
                ::plugind_plugin::__private::implementation::<dyn #contract, #implementor>();
            ::plugind_plugin::__register!([] [&IMPLEMENTATION]);
            ::plugind_plugin::__contract!(dyn #contract, #implementor);
        };
    })
}

/// The check that the one argument there is asks for. Only `plugind-plugin` knows with which features it was built.
fn own_allocator(arguments: TokenStream) -> syn::Result<Option<TokenStream>> {
    let words: Vec<_> = arguments.clone().into_iter().collect();
    match &words[..] {
        [] => Ok(None),
        [TokenTree::Ident(word)] if word == "own_allocator" => {
            let check = quote_spanned!(word.span()=> ::plugind_plugin::__own_allocator!(););
            Ok(Some(check))
        }
        _ => refuse(
            arguments,
            "the only argument of `#[plugin]` is `own_allocator`, for a plugin with a `#[global_allocator]`",
        ),
    }
}
