//! What a contract's function looks like, and how each argument crosses the boundary.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{FnArg, Ident, Pat, ReturnType, TraitItemFn, Type, TypeReference};

/// One function of a contract.
pub(crate) struct Function {
    pub(crate) name: Ident,
    pub(crate) attributes: Vec<syn::Attribute>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) state: Option<Access>,
    pub(crate) result: Returned,
    /// As it is written, for people.
    pub(crate) text: String,
}

/// How the state is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Shared,
    Exclusive,
}

/// What a function returns.
pub(crate) enum Returned {
    State,
    Value(Box<Type>),
}

/// One argument that is not the state.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    mode: Mode,
}

/// How an argument crosses.
enum Mode {
    /// As a pointer to the value, whose owner stays its owner; the other side clones it.
    Value,
    /// As a pointer.
    Reference { to: Type, exclusive: bool },
    /// As a pointer and a length.
    Slice { of: Type, exclusive: bool },
    /// As a pointer and a length.
    Text,
}

impl Function {
    pub(crate) fn parse(item: &TraitItemFn, has_state: bool) -> syn::Result<Self> {
        let sig = &item.sig;
        let refuse = |at: &dyn ToTokens, why: &str| Err(syn::Error::new_spanned(at, why));
        if let Some(default) = &item.default {
            return refuse(default, "a contract's function has no default body");
        }
        if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
            return refuse(
                &sig.generics,
                "a contract's function has no generic parameters: both sides are compiled before they meet",
            );
        }
        if !matches!(sig.safety, syn::Safety::Default)
            || sig.constness.is_some()
            || sig.abi.is_some()
            || sig.variadic.is_some()
        {
            return refuse(
                sig,
                "a contract's function is a plain one: neither unsafe nor const, without an ABI of its own",
            );
        }
        if let Some(token) = &sig.asyncness {
            return refuse(
                token,
                "a contract's function is not async: a future would outlive its version",
            );
        }
        let mut arguments = Vec::new();
        let mut state = None;
        for (index, input) in sig.inputs.iter().enumerate() {
            let FnArg::Typed(typed) = input else {
                return refuse(
                    input,
                    "a contract's function has no `self`; what lives from call to call is `Self::State`",
                );
            };
            if let Some(access) = state_access(&typed.ty) {
                if index > 0 || !has_state {
                    return refuse(
                        &typed.ty,
                        "`Self::State` stands only as the first argument, in a contract with `type State;`",
                    );
                }
                state = Some(access);
                continue;
            }
            let Pat::Ident(pattern) = &*typed.pat else {
                return refuse(
                    &typed.pat,
                    "an argument of a contract's function has a plain name",
                );
            };
            arguments.push(Argument::parse(&pattern.ident, &typed.ty)?);
        }
        let result = match &sig.output {
            ReturnType::Default => Returned::Value(Box::new(syn::parse_quote!(()))),
            ReturnType::Type(_, ty) if is_state(ty) => {
                if !arguments.is_empty() || state.is_some() {
                    return refuse(
                        &sig.inputs,
                        "the function that makes the state has no arguments",
                    );
                }
                Returned::State
            }
            ReturnType::Type(_, ty) => {
                if let Type::Reference(_) = &**ty {
                    return refuse(
                        ty,
                        "a contract's function returns a value: nobody could say how long a reference lives",
                    );
                }
                refuse_unstable(ty)?;
                Returned::Value(ty.clone())
            }
        };
        Ok(Self {
            name: sig.ident.clone(),
            attributes: item.attrs.clone(),
            arguments,
            state,
            result,
            text: sig.to_token_stream().to_string(),
        })
    }

    /// Folds everything that must be equal on both sides.
    pub(crate) fn fingerprint(&self) -> TokenStream {
        let name = self.name.to_string();
        let state = match self.state {
            None => "",
            Some(Access::Shared) => "&State",
            Some(Access::Exclusive) => "&mut State",
        };
        let arguments = self.arguments.iter().map(|argument| {
            let (how, ty) = argument.crossing();
            quote!(.text(#how).number(<#ty as ::plugind_abi::stable::StableType>::FINGERPRINT))
        });
        let result = match &self.result {
            Returned::State => quote!(.text("State")),
            Returned::Value(ty) => {
                quote!(.text("->").number(<#ty as ::plugind_abi::stable::StableType>::FINGERPRINT))
            }
        };
        quote! {
            ::plugind_abi::fingerprint::Fingerprint::new()
                .text(#name).text(#state) #(#arguments)* #result .finish()
        }
    }

    /// Refuses, when the contract is compiled, to hand over what owns memory to be changed by the other side.
    pub(crate) fn checks(&self) -> TokenStream {
        let changed = self
            .arguments
            .iter()
            .filter_map(|argument| match &argument.mode {
                Mode::Reference {
                    to: ty,
                    exclusive: true,
                }
                | Mode::Slice {
                    of: ty,
                    exclusive: true,
                } => Some((&argument.name, ty)),
                _ => None,
            });
        let checks = changed.map(|(name, ty)| {
            let message = format!(
                "`{name}` of `{}` is a mutable reference to something that owns memory, which only the side that made it \
                 may change: pass a slice, or return a value",
                self.name
            );
            quote! {
                const _: () = ::core::assert!(!<#ty as ::plugind_abi::stable::StableType>::OWNS, #message);
            }
        });
        // In an alias a borrowed result, however deep, names no lifetime and does not compile.
        let result = match &self.result {
            Returned::State => None,
            Returned::Value(ty) => {
                let alias = format_ident!("__Result_{}", self.name);
                Some(quote! {
                    #[allow(non_camel_case_types, dead_code)]
                    type #alias = #ty;
                })
            }
        };
        quote!(#(#checks)* #result)
    }

    /// Whether every type's layout is decided by no compiler.
    pub(crate) fn is_fixed(&self) -> TokenStream {
        let arguments = self.arguments.iter().map(|argument| argument.crossing().1);
        let result = match &self.result {
            Returned::State => None,
            Returned::Value(ty) => Some((**ty).clone()),
        };
        let all = arguments.chain(result);
        quote!(true #(&& <#all as ::plugind_abi::stable::StableType>::FIXED)*)
    }
}

impl Argument {
    fn parse(name: &Ident, ty: &Type) -> syn::Result<Self> {
        let mode = match ty {
            Type::Reference(reference) => Self::reference(reference)?,
            ty => {
                refuse_unstable(ty)?;
                Mode::Value
            }
        };
        Ok(Self {
            name: name.clone(),
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
            Type::Path(path) if path.path.is_ident("str") && !exclusive => Ok(Mode::Text),
            to => {
                refuse_unstable(to)?;
                Ok(Mode::Reference {
                    to: to.clone(),
                    exclusive,
                })
            }
        }
    }

    /// How it crosses, in words, and the type whose layout matters.
    fn crossing(&self) -> (&'static str, Type) {
        match &self.mode {
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
        let len = format_ident!("{name}_len");
        match &self.mode {
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
        let len = format_ident!("{name}_len");
        match &self.mode {
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
}

/// How an argument takes `Self::State`, if it does.
fn state_access(ty: &Type) -> Option<Access> {
    let Type::Reference(reference) = ty else {
        return None;
    };
    is_state(&reference.elem).then_some(match reference.mutability {
        Some(_) => Access::Exclusive,
        None => Access::Shared,
    })
}

fn is_state(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let names: Vec<_> = path
        .path
        .segments
        .iter()
        .map(|s| s.ident.to_string())
        .collect();
    path.qself.is_none() && names == ["Self", "State"]
}

/// Types for which a better hint than a missing `StableType` can be given.
fn refuse_unstable(ty: &Type) -> syn::Result<()> {
    let why = match ty {
        Type::ImplTrait(_) => "`impl Trait` cannot cross a plugin's boundary; name the type",
        Type::TraitObject(_) => {
            "a trait object cannot cross a plugin's boundary: its methods would be one side's; offer functions of the \
             program instead"
        }
        Type::Path(path)
            if path
                .path
                .segments
                .first()
                .is_some_and(|s| s.ident == "Self") =>
        {
            "`Self` stands only as `Self::State`, as the result of one function or behind a reference as the first \
             argument"
        }
        _ => return Ok(()),
    };
    Err(syn::Error::new_spanned(ty, why))
}
