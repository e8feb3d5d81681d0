//! How one argument crosses the boundary.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{Ident, PatIdent, Token, Type, TypeReference};

use crate::edge::of_arguments;

/// One argument that is not the state.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// Of the name in a body.
    pub(crate) mutability: Option<Token![mut]>,
    pub(crate) ty: Type,
    mode: Mode,
}

/// How an argument crosses.
enum Mode {
    /// As itself, in a register.
    Number(Ident),
    /// As a pointer to the value, whose owner stays its owner; the other side clones it.
    Value,
    /// As a pointer.
    Reference { to: Type, exclusive: bool },
    /// As a pointer and a length.
    Slice { of: Type, exclusive: bool },
    /// As a pointer and a length.
    Text,
}

impl Argument {
    pub(crate) fn parse(pattern: &PatIdent, ty: &Type) -> syn::Result<Self> {
        let mode = match ty {
            Type::Reference(reference) => Self::reference(reference)?,
            ty => {
                refuse_unstable(ty)?;
                number(ty).map_or(Mode::Value, Mode::Number)
            }
        };
        Ok(Self {
            name: pattern.ident.clone(),
            mutability: pattern.mutability,
            ty: ty.clone(),
            mode,
        })
    }

    fn reference(reference: &TypeReference) -> syn::Result<Mode> {
        if let Some(lifetime) = &reference.lifetime
            && lifetime.ident != "_"
        {
            return Err(syn::Error::new_spanned(
                lifetime,
                "a borrowed argument ends with the call; leave the lifetime out",
            ));
        }
        let exclusive = reference.mutability.is_some();
        let to = &*reference.elem;
        match to {
            Type::Slice(slice) => {
                refuse_unstable(&slice.elem)?;
                Ok(Mode::Slice {
                    of: (*slice.elem).clone(),
                    exclusive,
                })
            }
            Type::Path(path) if path.path.is_ident("str") && exclusive => {
                Err(syn::Error::new_spanned(
                    reference,
                    "a text is not changed across a plugin's boundary: take a `&str` and return a `String`",
                ))
            }
            Type::Path(path) if path.path.is_ident("str") => Ok(Mode::Text),
            to => {
                refuse_unstable(to)?;
                Ok(Mode::Reference {
                    to: to.clone(),
                    exclusive,
                })
            }
        }
    }

    /// Whether the other side clones it.
    pub(crate) fn is_value(&self) -> bool {
        matches!(self.mode, Mode::Value)
    }

    /// How it crosses, in words, and the type whose layout matters.
    pub(crate) fn crossing(&self) -> (&'static str, Type) {
        match &self.mode {
            Mode::Number(_) => ("number", self.ty.clone()),
            Mode::Value => ("value", self.ty.clone()),
            Mode::Reference {
                to,
                exclusive: false,
            } => ("&", to.clone()),
            Mode::Reference {
                to,
                exclusive: true,
            } => ("&mut", to.clone()),
            Mode::Slice {
                of,
                exclusive: false,
            } => ("&[]", of.clone()),
            Mode::Slice {
                of,
                exclusive: true,
            } => ("&mut []", of.clone()),
            Mode::Text => ("&str", syn::parse_quote!(u8)),
        }
    }

    /// The parameters that carry it, as name and type.
    pub(crate) fn parameters(&self) -> Vec<(Ident, TokenStream)> {
        let name = &self.name;
        let len = self.len();
        match &self.mode {
            Mode::Number(ty) => vec![(name.clone(), quote!(::core::primitive::#ty))],
            Mode::Value => {
                let ty = &self.ty;
                vec![(name.clone(), quote!(*const #ty))]
            }
            Mode::Reference {
                to,
                exclusive: false,
            } => vec![(name.clone(), quote!(*const #to))],
            Mode::Reference {
                to,
                exclusive: true,
            } => vec![(name.clone(), quote!(*mut #to))],
            Mode::Slice {
                of,
                exclusive: false,
            } => {
                vec![(name.clone(), quote!(*const #of)), (len, quote!(usize))]
            }
            Mode::Slice {
                of,
                exclusive: true,
            } => {
                vec![(name.clone(), quote!(*mut #of)), (len, quote!(usize))]
            }
            Mode::Text => vec![(name.clone(), quote!(*const u8)), (len, quote!(usize))],
        }
    }

    /// What the program's side passes for those parameters.
    pub(crate) fn pass(&self) -> Vec<TokenStream> {
        let name = &self.name;
        match &self.mode {
            Mode::Number(_) => vec![quote!(#name)],
            Mode::Value => vec![quote!(&raw const #name)],
            Mode::Reference {
                exclusive: false, ..
            } => vec![quote!(::core::ptr::from_ref(#name))],
            Mode::Reference {
                exclusive: true, ..
            } => vec![quote!(::core::ptr::from_mut(#name))],
            Mode::Slice {
                exclusive: true, ..
            } => vec![quote!(#name.as_mut_ptr()), quote!(#name.len())],
            Mode::Slice {
                exclusive: false, ..
            }
            | Mode::Text => {
                vec![quote!(#name.as_ptr()), quote!(#name.len())]
            }
        }
    }

    /// What the plugin's side makes of them, inside `unsafe`.
    pub(crate) fn take(&self) -> TokenStream {
        let name = &self.name;
        let len = self.len();
        match &self.mode {
            Mode::Number(_) => quote!(#name),
            Mode::Value => quote!(::core::clone::Clone::clone(&*#name)),
            Mode::Reference {
                exclusive: false, ..
            } => quote!(&*#name),
            Mode::Reference {
                exclusive: true, ..
            } => quote!(&mut *#name),
            Mode::Slice {
                exclusive: false, ..
            } => quote!(::core::slice::from_raw_parts(#name, #len)),
            Mode::Slice {
                exclusive: true, ..
            } => quote!(::core::slice::from_raw_parts_mut(#name, #len)),
            Mode::Text => {
                quote!(::core::str::from_utf8_unchecked(::core::slice::from_raw_parts(#name, #len)))
            }
        }
    }

    /// The parameter that carries a length. No argument of the user's is the same name, whatever it is called.
    fn len(&self) -> Ident {
        format_ident!("{}_len", self.name.unraw(), span = Span::mixed_site())
    }

    /// What the other side may change through it.
    pub(crate) fn changed(&self) -> Option<&Type> {
        match &self.mode {
            Mode::Reference {
                to: ty,
                exclusive: true,
            }
            | Mode::Slice {
                of: ty,
                exclusive: true,
            } => Some(ty),
            _ => None,
        }
    }
}

/// The numbers that every compiler passes in the same way, by their own names; under another name they are values.
fn number(ty: &Type) -> Option<Ident> {
    const NUMBERS: [&str; 13] = [
        "bool", "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize", "f32",
        "f64",
    ];
    let Type::Path(path) = ty else { return None };
    let name = path.path.get_ident()?;
    NUMBERS
        .iter()
        .any(|number| name == number)
        .then(|| name.clone())
}

/// Types for which a better hint than a missing `StableType` can be given, wherever they stand in a signature.
pub(crate) fn refuse_unstable(ty: &Type) -> syn::Result<()> {
    let why = match ty {
        Type::ImplTrait(_) => "`impl Trait` cannot cross a plugin's boundary; name the type",
        Type::TraitObject(object) if is_error(object) => {
            "a `dyn Error` cannot cross a plugin's boundary: its methods would be one side's; return an enum that derives \
             `StableType`, or a `String`"
        }
        Type::TraitObject(_) => {
            "a trait object cannot cross a plugin's boundary: its methods would be one side's; offer functions of the \
             program instead"
        }
        Type::FnPtr(_) => {
            "a function pointer cannot cross a plugin's boundary: a panic of it would be the other side's; offer functions \
             of the program instead (`#[host]`)"
        }
        Type::Path(path) => {
            let segments = &path.path.segments;
            if segments.first().is_some_and(|s| s.ident == "Self") {
                "`Self` stands only as `Self::State`, as the result of one function or behind a reference as the first \
                 argument"
            } else {
                let arguments = segments.iter().map(|segment| &segment.arguments);
                return arguments
                    .flat_map(of_arguments)
                    .try_for_each(refuse_unstable);
            }
        }
        Type::Reference(reference) => return refuse_unstable(&reference.elem),
        Type::Array(array) => return refuse_unstable(&array.elem),
        Type::Slice(slice) => return refuse_unstable(&slice.elem),
        Type::Paren(paren) => return refuse_unstable(&paren.elem),
        Type::Group(group) => return refuse_unstable(&group.elem),
        Type::Tuple(tuple) => return tuple.elems.iter().try_for_each(refuse_unstable),
        _ => return Ok(()),
    };
    Err(syn::Error::new_spanned(ty, why))
}

fn is_error(object: &syn::TypeTraitObject) -> bool {
    object.bounds.iter().any(|bound| match bound {
        syn::TypeParamBound::Trait(bound) => {
            let last = bound.path.segments.last();
            last.is_some_and(|segment| segment.ident == "Error")
        }
        _ => false,
    })
}
