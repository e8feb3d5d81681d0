//! `#[derive(StableType)]`: folds what a type looks like.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, Index, Member};

pub(crate) fn expand(item: DeriveInput) -> syn::Result<TokenStream> {
    let name = &item.ident;
    let text = name.to_string();
    let mut generics = item.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter
            .bounds
            .push(syn::parse_quote!(::plugind_abi::stable::StableType));
    }
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let (folded, fields) = match &item.data {
        Data::Struct(data) => {
            let types: Vec<_> = data.fields.iter().map(|field| field.ty.clone()).collect();
            (fold_struct(&data.fields), types)
        }
        Data::Enum(data) => {
            let folded = data.variants.iter().map(fold_variant);
            let types = data
                .variants
                .iter()
                .flat_map(|variant| variant.fields.iter().map(|field| field.ty.clone()))
                .collect();
            (quote!(.text("enum") #(#folded)*), types)
        }
        Data::Union(data) => {
            return Err(syn::Error::new_spanned(
                data.union_token,
                "a union cannot cross a plugin's boundary: nothing says which field is valid",
            ));
        }
    };
    let fixed = is_fixed(&item)?;
    let repr = representation(&item);
    Ok(quote! {
        // SAFETY: names, offsets, sizes and nested fingerprints are folded, so an equal fingerprint is an equal layout
        // for one compiler; the layout is fixed if `repr` says so and every field's is.
        #[automatically_derived]
        #[allow(long_running_const_eval)]
        unsafe impl #parameters ::plugind_abi::stable::StableType for #name #arguments #bounds {
            const FINGERPRINT: u128 = ::plugind_abi::fingerprint::Fingerprint::new()
                .text(#text)
                .number(::core::mem::size_of::<Self>() as u128)
                .number(::core::mem::align_of::<Self>() as u128)
                // A value that is dropped on one side only would be lost on the other.
                .number(::core::mem::needs_drop::<Self>() as u128)
                .number(<Self as ::plugind_abi::stable::StableType>::FIXED as u128)
                .text(#repr)
                #folded
                .finish();
            const NAME: &'static str = #text;
            const OWNS: bool = false #(|| <#fields as ::plugind_abi::stable::StableType>::OWNS)*;
            const FIXED: bool = #fixed #(&& <#fields as ::plugind_abi::stable::StableType>::FIXED)*;
        }
    })
}

fn fold_struct(fields: &Fields) -> TokenStream {
    let folded = fields.iter().enumerate().map(|(index, field)| {
        let member = field
            .ident
            .clone()
            .map_or_else(|| Member::Unnamed(Index::from(index)), Member::Named);
        let name = field
            .ident
            .as_ref()
            .map_or_else(|| index.to_string(), ToString::to_string);
        let ty = &field.ty;
        quote! {
            .text(#name)
            .number(::core::mem::offset_of!(Self, #member) as u128)
            .number(<#ty as ::plugind_abi::stable::StableType>::FINGERPRINT)
        }
    });
    quote!(.text("struct") #(#folded)*)
}

/// Offsets inside variants cannot be asked for; order, types and the size of the whole decide them for one compiler.
fn fold_variant(variant: &syn::Variant) -> TokenStream {
    let name = variant.ident.to_string();
    let discriminant = variant
        .discriminant
        .as_ref()
        .map(|(_, value)| quote!(.text("=").number((#value) as i128 as u128)));
    let fields = variant.fields.iter().enumerate().map(|(index, field)| {
        let name = field
            .ident
            .as_ref()
            .map_or_else(|| index.to_string(), ToString::to_string);
        let ty = &field.ty;
        quote!(.text(#name).number(<#ty as ::plugind_abi::stable::StableType>::FINGERPRINT))
    });
    quote!(.text(#name) #discriminant #(#fields)*)
}

/// Every `repr`, as it is written: it moves fields that no offset tells of, those of an enum's variants.
fn representation(item: &DeriveInput) -> String {
    let reprs = item
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("repr"));
    reprs
        .map(|attribute| quote!(#attribute).to_string())
        .collect()
}

/// `repr(C)`, `repr(transparent)` and primitive representations are fixed by the language.
fn is_fixed(item: &DeriveInput) -> syn::Result<bool> {
    let mut fixed = false;
    for attribute in item
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("repr"))
    {
        attribute.parse_nested_meta(|meta| {
            let name = meta
                .path
                .get_ident()
                .map(ToString::to_string)
                .unwrap_or_default();
            if matches!(&*name, "align" | "packed") && meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<syn::LitInt>()?;
            }
            fixed |= matches!(
                &*name,
                "C" | "transparent"
                    | "u8"
                    | "u16"
                    | "u32"
                    | "u64"
                    | "usize"
                    | "i8"
                    | "i16"
                    | "i32"
                    | "i64"
                    | "isize"
            );
            Ok(())
        })?;
    }
    Ok(fixed)
}
