//! How a field leads to its type: described, named only, vouched for; or not at all.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Ident, LitStr, Type};

use crate::signature::refuse;

/// How a field leads to its type.
pub(crate) enum Edge {
    /// Into its description; where the derived type is mentioned its marker stands.
    Described(Box<Type>),
    /// To its name: it is described elsewhere.
    ByName,
    /// To the words of somebody who vouches for its layout.
    Opaque(LitStr),
}

/// Looks at the field's type and at `#[stable_type(..)]`.
pub(crate) fn edge(field: &syn::Field, derived: &Ident) -> syn::Result<Edge> {
    let mut edge = None;
    for attribute in field
        .attrs
        .iter()
        .filter(|a| a.path().is_ident("stable_type"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("by_name") {
                edge = Some(Edge::ByName);
                return Ok(());
            }
            if !meta.path.is_ident("unsafe_opaque") {
                return Err(
                    meta.error("write `by_name` or `unsafe_opaque = \"why the layout holds\"`")
                );
            }
            let why: LitStr = meta.value()?.parse()?;
            if why.value().trim().is_empty() {
                return refuse(why, "say why the layout is the same in two builds");
            }
            edge = Some(Edge::Opaque(why));
            Ok(())
        })?;
    }
    if matches!(edge, Some(Edge::Opaque(_))) {
        return Ok(edge.unwrap_or(Edge::ByName));
    }
    refuse_pointers(&field.ty)?;
    Ok(match edge {
        Some(edge) => edge,
        None => {
            let marked = mark(field.ty.to_token_stream(), derived);
            Edge::Described(Box::new(syn::parse2(marked)?))
        }
    })
}

/// The marker of a derived type.
pub(crate) fn own(derived: &Ident) -> Ident {
    crate::stable_type::hidden(derived, "Own")
}

/// Puts the marker where the derived type stands, `self::` before it or not. A name behind another path is another
/// one's.
fn mark(tokens: TokenStream, derived: &Ident) -> TokenStream {
    let mut marked: Vec<TokenTree> = Vec::new();
    for token in tokens {
        let token = match token {
            TokenTree::Ident(ident) if ident == *derived || ident == "Self" => {
                let Some(path) = own_path(&marked) else {
                    marked.push(TokenTree::Ident(ident));
                    continue;
                };
                marked.truncate(marked.len() - path);
                let mut own = own(derived);
                own.set_span(ident.span());
                TokenTree::Ident(own)
            }
            TokenTree::Group(group) => {
                let inside = mark(group.stream(), derived);
                let mut marked = proc_macro2::Group::new(group.delimiter(), inside);
                marked.set_span(group.span());
                TokenTree::Group(marked)
            }
            other => other,
        };
        marked.push(token);
    }
    marked.into_iter().collect()
}

/// How many tokens at the end are a path that leads to the derived type: none, or `self::`; nothing if they lead
/// elsewhere.
fn own_path(tokens: &[TokenTree]) -> Option<usize> {
    let is_colon =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    let is_self = |token: &TokenTree| matches!(token, TokenTree::Ident(ident) if ident == "self");
    match tokens {
        [.., before, module, first, second]
            if is_self(module) && is_colon(first) && is_colon(second) =>
        {
            (!is_colon(before)).then_some(3)
        }
        [module, first, second] if is_self(module) && is_colon(first) && is_colon(second) => {
            Some(3)
        }
        [.., last] if is_colon(last) => None,
        _ => Some(0),
    }
}

/// Types for which a better hint than a missing `StableType` can be given, wherever they stand in a field's type.
fn refuse_pointers(ty: &Type) -> syn::Result<()> {
    let code = "points into one version's code, which another version does not have";
    match ty {
        Type::TraitObject(_) => refuse(
            ty,
            format!(
                "a trait object {code}: use an enum of the types, or keep it outside the state"
            ),
        ),
        Type::FnPtr(_) => refuse(
            ty,
            format!(
                "a function pointer {code}: keep an enum or an index, and choose the function where it is called"
            ),
        ),
        Type::Ptr(_) => refuse(
            ty,
            "a raw pointer says nothing of what it points to: own the value, or keep an index",
        ),
        Type::ImplTrait(_) => refuse(ty, "name the type"),
        Type::Reference(reference) => {
            if let Some(lifetime) = &reference.lifetime
                && lifetime.ident == "static"
            {
                return refuse(
                    lifetime,
                    "a `&'static` points into the version that made it: own the value (`String`, `Vec`), or keep an index",
                );
            }
            refuse_pointers(&reference.elem)
        }
        Type::Array(array) => refuse_pointers(&array.elem),
        Type::Slice(slice) => refuse_pointers(&slice.elem),
        Type::Paren(paren) => refuse_pointers(&paren.elem),
        Type::Group(group) => refuse_pointers(&group.elem),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(refuse_pointers),
        Type::Path(path) => {
            let arguments = path.path.segments.iter().map(|segment| &segment.arguments);
            arguments
                .flat_map(of_arguments)
                .try_for_each(refuse_pointers)
        }
        _ => Ok(()),
    }
}

/// The types among the generic arguments.
pub(crate) fn of_arguments(arguments: &syn::PathArguments) -> Vec<&Type> {
    match arguments {
        syn::PathArguments::AngleBracketed(arguments) => {
            let types = arguments.args.iter().filter_map(|argument| match argument {
                syn::GenericArgument::Type(ty) => Some(ty),
                _ => None,
            });
            types.collect()
        }
        _ => Vec::new(),
    }
}
