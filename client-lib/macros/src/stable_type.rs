//! `#[derive(StableType)]`: describes what a type looks like.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{Data, DeriveInput, Fields, Generics, Ident, Index, Member};

use crate::contract::krate;
use crate::edge::{Edge, edge};
use crate::signature::refuse;

pub(crate) fn expand(item: DeriveInput) -> syn::Result<TokenStream> {
    let name = &item.ident;
    if let Some(attribute) = item.attrs.iter().find(|a| a.path().is_ident("stable_type")) {
        return refuse(attribute, "`#[stable_type(..)]` stands on a field");
    }
    let described = match &item.data {
        Data::Struct(data) => {
            let fields = fields(&data.fields, name, true)?;
            quote!(Struct).describe(quote!(.with_fields(const { &[#(#fields),*] })))
        }
        Data::Enum(data) => {
            let variants: Vec<_> = data
                .variants
                .iter()
                .map(|variant| self::variant(variant, name))
                .collect::<syn::Result<_>>()?;
            quote!(Enum).describe(quote!(.with_variants(const { &[#(#variants),*] })))
        }
        Data::Union(data) => {
            return refuse(
                data.union_token,
                "a union cannot cross a plugin's boundary: nothing says which field is valid",
            );
        }
    };
    let repr = representation(&item);
    let fixed = is_fixed(&repr);
    let text = name.to_string();
    let krate = krate();
    let generics = bounded(&item.generics);
    let arguments = item
        .generics
        .type_params()
        .map(|parameter| &parameter.ident);
    let (parameters, with, bounds) = generics.split_for_impl();
    // Only a recursive type mentions its marker.
    let marker = crate::edge::own(name).to_string();
    let own = described
        .to_string()
        .contains(&marker)
        .then(|| own(name, &generics));
    Ok(quote! {
        const _: () = {
            #own

            // SAFETY: names, offsets, sizes and the types of fields are folded, so an equal fingerprint is an equal
            // layout for one compiler; the layout is fixed if `repr` says so and every field's is.
            #[automatically_derived]
            #[allow(long_running_const_eval)]
            unsafe impl #parameters ::plugind_abi::stable::StableType for #name #with #bounds {
                const NAME: &'static ::plugind_abi::describe::Name = &::plugind_abi::describe::Name::declared(
                    #text,
                    #krate,
                    const { &[#(<#arguments as ::plugind_abi::stable::StableType>::NAME),*] },
                );
                const TYPE: &'static ::plugind_abi::describe::Type = &#described
                    .with_repr(#repr, #fixed)
                    .folded();
            }
        };
    })
}

/// A word that is made a description.
trait Describe {
    fn describe(&self, parts: TokenStream) -> TokenStream;
}

impl Describe for TokenStream {
    fn describe(&self, parts: TokenStream) -> TokenStream {
        quote! {
            ::plugind_abi::describe::Type::new::<Self>(Self::NAME, ::plugind_abi::describe::Sort::#self) #parts
        }
    }
}

/// Offsets inside variants cannot be asked for; order, types and the size of the whole decide them for one compiler.
fn fields(fields: &Fields, own: &Ident, with_offsets: bool) -> syn::Result<Vec<TokenStream>> {
    let describe = |(index, field): (usize, &syn::Field)| {
        let named = field.ident.as_ref();
        let name = named.map_or_else(|| index.to_string(), ToString::to_string);
        let ty = described(field, own)?;
        if !with_offsets {
            return Ok(quote!(::plugind_abi::describe::Field::inside(#name, #ty)));
        }
        let member = named.map_or_else(
            || Member::Unnamed(Index::from(index)),
            |name| Member::Named(name.clone()),
        );
        Ok(quote! {
            ::plugind_abi::describe::Field::at(#name, ::core::mem::offset_of!(Self, #member), #ty)
        })
    };
    fields.iter().enumerate().map(describe).collect()
}

fn variant(variant: &syn::Variant, own: &Ident) -> syn::Result<TokenStream> {
    let name = variant.ident.to_string();
    let discriminant = match &variant.discriminant {
        Some((_, value)) => quote!(::core::option::Option::Some((#value) as i128)),
        None => quote!(::core::option::Option::None),
    };
    let fields = fields(&variant.fields, own, false)?;
    Ok(quote! {
        ::plugind_abi::describe::Variant {
            name: #name,
            discriminant: #discriminant,
            fields: const { &[#(#fields),*] },
        }
    })
}

/// The description of a field's type.
fn described(field: &syn::Field, own: &Ident) -> syn::Result<TokenStream> {
    let ty = &field.ty;
    Ok(match edge(field, own)? {
        Edge::Described(ty) => quote!(<#ty as ::plugind_abi::stable::StableType>::TYPE),
        Edge::ByName => quote! {
            const { &::plugind_abi::describe::Type::named::<#ty>(<#ty as ::plugind_abi::stable::StableType>::NAME) }
        },
        Edge::Opaque(why) => {
            let text = crate::signature::spelled(ty.to_token_stream());
            quote! {
                const {
                    &::plugind_abi::describe::Type::opaque::<#ty>(
                        const { &::plugind_abi::describe::Name::of(#text, &[]) },
                        #why,
                    )
                }
            }
        }
    })
}

/// The type that stands for the derived one where its own fields mention it.
fn own(name: &Ident, generics: &Generics) -> TokenStream {
    let (parameters, with, bounds) = generics.split_for_impl();
    let own = crate::edge::own(name);
    quote! {
        #[allow(dead_code)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        struct #own #parameters (::core::marker::PhantomData<fn() -> #name #with>) #bounds;

        #[automatically_derived]
        // SAFETY: it ends the description of the type that it stands for, and no value of it exists.
        unsafe impl #parameters ::plugind_abi::stable::StableType for #own #with #bounds {
            const NAME: &'static ::plugind_abi::describe::Name =
                <#name #with as ::plugind_abi::stable::StableType>::NAME;
            const TYPE: &'static ::plugind_abi::describe::Type =
                &::plugind_abi::describe::Type::own::<Self>(Self::NAME);
        }
    }
}

fn bounded(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    for parameter in generics.type_params_mut() {
        parameter
            .bounds
            .push(syn::parse_quote!(::plugind_abi::stable::StableType));
        // It cannot stand where a type is implemented for.
        parameter.default = None;
    }
    generics
}

/// What stands in every `repr`: it moves fields that no offset tells of, those of an enum's variants.
fn representation(item: &DeriveInput) -> String {
    let reprs = item
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("repr"));
    let words = reprs.filter_map(|attribute| match &attribute.meta {
        syn::Meta::List(list) => Some(crate::signature::spelled(list.tokens.clone())),
        _ => None,
    });
    words.collect::<Vec<_>>().join(", ")
}

/// `repr(C)`, `repr(transparent)` and primitive representations are fixed by the language.
fn is_fixed(repr: &str) -> bool {
    let fixing = [
        "C",
        "transparent",
        "u8",
        "u16",
        "u32",
        "u64",
        "usize",
        "i8",
        "i16",
        "i32",
        "i64",
        "isize",
    ];
    let mut words = repr.split(',').map(str::trim);
    words.any(|word| fixing.contains(&word))
}

/// A name that the type's own module cannot have by accident.
pub(crate) fn hidden(name: &Ident, what: &str) -> Ident {
    format_ident!("__{what}{name}")
}
