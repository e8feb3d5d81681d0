//! What a function that crosses the boundary looks like.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{FnArg, Ident, Pat, ReceiverKind, ReturnType, TraitItemFn, Type};

use crate::argument::{Argument, refuse_unstable};
use crate::edge::of_arguments;

/// One function of a contract.
pub(crate) struct Function {
    pub(crate) name: Ident,
    pub(crate) attributes: Vec<syn::Attribute>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) state: Option<Access>,
    pub(crate) result: Returned,
    /// What is done where a plugin lacks it.
    pub(crate) default: Option<syn::Block>,
    /// As it is written, for people.
    pub(crate) text: String,
}

/// Whose function it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A plugin's, under a contract.
    Contract { has_state: bool },
    /// The program's.
    Host,
}

impl Owner {
    fn noun(self) -> &'static str {
        match self {
            Self::Contract { .. } => "a contract's function",
            Self::Host => "a function that a program offers",
        }
    }
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

impl Function {
    pub(crate) fn parse(item: &TraitItemFn, owner: Owner) -> syn::Result<Self> {
        let sig = &item.sig;
        if let Some(cfg) = item
            .attrs
            .iter()
            .find(|attribute| attribute.path().is_ident("cfg"))
        {
            let why = format!(
                "{} is there or not: `cfg` would make it another one for each side; a default body makes it optional",
                owner.noun()
            );
            return refuse(cfg, why);
        }
        if owner == Owner::Host && sig.ident.unraw() == "new" {
            return refuse(
                &sig.ident,
                "`new` is how a program lends its object; give the function another name",
            );
        }
        refuse_unlike_plain(sig, owner)?;
        let mut arguments = Vec::new();
        let mut state = None;
        let mut state_name = None;
        for (index, input) in sig.inputs.iter().enumerate() {
            let typed = match (input, owner) {
                (FnArg::Typed(typed), _) => typed,
                (FnArg::Receiver(receiver), Owner::Host) => {
                    state = Some(receiver_access(receiver)?);
                    continue;
                }
                (FnArg::Receiver(_), Owner::Contract { .. }) => {
                    return refuse(
                        input,
                        "a contract's function has no `self`; what lives from call to call is `Self::State`",
                    );
                }
            };
            if let Some(access) = state_access(&typed.ty) {
                if owner == (Owner::Contract { has_state: false }) {
                    return refuse(&typed.ty, NO_STATE);
                }
                if index > 0 || owner != (Owner::Contract { has_state: true }) {
                    return refuse(
                        &typed.ty,
                        "`Self::State` stands only as the first argument, in a contract with `type State;`",
                    );
                }
                state = Some(access);
                if let Pat::Ident(pattern) = &*typed.pat {
                    state_name = Some(pattern.ident.clone());
                }
                continue;
            }
            let Pat::Ident(pattern) = &*typed.pat else {
                let why = format!("an argument of {} has a plain name", owner.noun());
                return refuse(&typed.pat, why);
            };
            arguments.push(Argument::parse(pattern, &typed.ty)?);
        }
        if owner == Owner::Host && state.is_none() {
            return refuse(
                &sig.ident,
                "a function that a program offers takes `&self` or `&mut self` first: the program's object",
            );
        }
        let result = match &sig.output {
            ReturnType::Default => Returned::Value(Box::new(syn::parse_quote!(()))),
            ReturnType::Type(_, ty) if is_state(ty) && owner != Owner::Host => {
                if owner == (Owner::Contract { has_state: false }) {
                    return refuse(ty, NO_STATE);
                }
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
                    let why = format!(
                        "{} returns a value: nobody could say how long a reference lives",
                        owner.noun()
                    );
                    return refuse(ty, why);
                }
                if holds_state(ty) && owner != Owner::Host {
                    return refuse(
                        ty,
                        "the function that makes the state returns `Self::State` itself: where that fails, panic, and \
                         the program's `start` returns it as an error",
                    );
                }
                refuse_unstable(ty)?;
                Returned::Value(ty.clone())
            }
        };
        if let Some(body) = &item.default {
            refuse_default(body, owner, &result, state_name.as_ref())?;
        }
        Ok(Self {
            name: sig.ident.clone(),
            attributes: item.attrs.clone(),
            arguments,
            state,
            result,
            default: item.default.clone(),
            text: as_written(sig),
        })
    }

    /// Its doc comments.
    pub(crate) fn docs(&self) -> impl Iterator<Item = &syn::Attribute> {
        let attributes = self.attributes.iter();
        attributes.filter(|attribute| attribute.path().is_ident("doc"))
    }

    /// Names and types of the arguments, without the state.
    pub(crate) fn named_arguments(&self) -> (Vec<&Ident>, Vec<&Type>) {
        let arguments = self.arguments.iter();
        arguments
            .map(|argument| (&argument.name, &argument.ty))
            .unzip()
    }

    /// The arguments as a body has them, without the state.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = TokenStream> {
        self.arguments.iter().map(|argument| {
            let (mutability, name) = (&argument.mutability, &argument.name);
            quote!(#mutability #name)
        })
    }

    /// The type of each argument whose layout matters.
    pub(crate) fn crossing_types(&self) -> impl Iterator<Item = Type> {
        self.arguments.iter().map(|argument| argument.crossing().1)
    }

    /// The types whose values are cloned on the other side.
    fn cloned(&self) -> impl Iterator<Item = &Type> {
        let result = match &self.result {
            Returned::State => None,
            Returned::Value(ty) => Some(&**ty),
        };
        let arguments = self.arguments.iter().filter(|argument| argument.is_value());
        arguments.map(|argument| &argument.ty).chain(result)
    }

    /// What it looks like, as an expression of `plugind_abi::describe::Function`.
    pub(crate) fn description(&self) -> TokenStream {
        let (name, text) = (self.name.to_string(), &self.text);
        let optional = self.default.is_some();
        let state = match self.state {
            None => "",
            Some(Access::Shared) => "&State",
            Some(Access::Exclusive) => "&mut State",
        };
        let arguments = self.arguments.iter().map(|argument| {
            let (how, ty) = argument.crossing();
            let name = argument.name.to_string();
            quote! {
                ::plugind_abi::describe::Argument {
                    name: #name,
                    how: #how,
                    ty: <#ty as ::plugind_abi::stable::StableType>::TYPE,
                }
            }
        });
        let result = match &self.result {
            Returned::State => quote!(::core::option::Option::None),
            Returned::Value(ty) => {
                quote!(::core::option::Option::Some(<#ty as ::plugind_abi::stable::StableType>::TYPE))
            }
        };
        quote! {
            ::plugind_abi::describe::Function::new(
                (#name, #text), #optional, #state, const { &[#(#arguments),*] }, #result,
            )
        }
    }

    /// Refuses, when the contract is compiled, to hand over what owns memory to be changed by the other side.
    pub(crate) fn checks(&self) -> TokenStream {
        let changed = self
            .arguments
            .iter()
            .filter_map(|argument| Some((&argument.name, argument.changed()?)));
        let checks = changed.map(|(name, ty)| {
            let message = format!(
                "`{name}` of `{}` is a mutable reference to something that owns memory, which only the side that made it \
                 may change: pass a slice, or return a value",
                self.name
            );
            quote_spanned! {ty.span()=>
                const _: () = ::core::assert!(!<#ty as ::plugind_abi::stable::StableType>::OWNS, #message);
            }
        });
        let result = match &self.result {
            Returned::State => None,
            Returned::Value(ty) => Some((**ty).clone()),
        };
        let shared = self.crossing_types().chain(result).map(|ty| {
            let message = format!(
                "`{}` has a type through which both sides would own the same memory, such as `Rc`, `Arc`, a cell of a \
                 `Vec`, or a foreign type that only a state may hold: pass what is inside",
                self.name
            );
            let lends = format!(
                "`{}` has the program's object inside another type, where nothing compares what it offers: pass it as \
                 `&`, as `&mut` or in a slice",
                self.name
            );
            quote_spanned! {ty.span()=>
                const _: () = ::core::assert!(!<#ty as ::plugind_abi::stable::StableType>::TYPE.shares, #message);
                const _: () = ::core::assert!(!<#ty as ::plugind_abi::stable::StableType>::TYPE.lends, #lends);
            }
        });
        let cloned = self.cloned().map(|ty| {
            quote_spanned! {ty.span()=>
                const _: fn() = {
                    fn __is_clone<T: ::core::clone::Clone>() {}
                    __is_clone::<#ty>
                };
            }
        });
        // In an alias a borrowed result, however deep, names no lifetime and does not compile.
        let result = match &self.result {
            Returned::State => None,
            Returned::Value(ty) => {
                let alias = format_ident!("__Result_{}", self.name.unraw());
                Some(quote! {
                    #[allow(non_camel_case_types, dead_code)]
                    type #alias = #ty;
                })
            }
        };
        quote!(#(#checks)* #(#shared)* #(#cloned)* #result)
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

const NO_STATE: &str = "the contract has no state: add `type State;` to the trait";

/// Whether the state stands inside the type, as in `Option<Self::State>`.
fn holds_state(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let arguments = path.path.segments.iter().map(|segment| &segment.arguments);
    let mut arguments = arguments.flat_map(of_arguments);
    arguments.any(|ty| is_state(ty) || holds_state(ty))
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

/// Says at the user's own words what is wrong with them.
pub(crate) fn refuse<T>(at: impl ToTokens, why: impl std::fmt::Display) -> syn::Result<T> {
    Err(syn::Error::new_spanned(at, why))
}

/// Only plain functions cross.
fn refuse_unlike_plain(sig: &syn::Signature, owner: Owner) -> syn::Result<()> {
    let noun = owner.noun();
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        let why =
            format!("{noun} has no generic parameters: both sides are compiled before they meet");
        return refuse(&sig.generics, why);
    }
    if !matches!(sig.safety, syn::Safety::Default)
        || sig.constness.is_some()
        || sig.abi.is_some()
        || sig.variadic.is_some()
    {
        let why =
            format!("{noun} is a plain one: neither unsafe nor const, without an ABI of its own");
        return refuse(sig, why);
    }
    if let Some(token) = &sig.asyncness {
        let why = format!("{noun} is not async: a future would outlive its version");
        return refuse(token, why);
    }
    Ok(())
}

/// What is done where a plugin lacks a function is done by the program.
fn refuse_default(
    body: &syn::Block,
    owner: Owner,
    result: &Returned,
    state: Option<&Ident>,
) -> syn::Result<()> {
    if owner == Owner::Host {
        return refuse(
            body,
            "a function that a program offers has no default body: a plugin that calls it needs a program that has it",
        );
    }
    if matches!(result, Returned::State) {
        return refuse(
            body,
            "the function that makes the state has no default body",
        );
    }
    let is_plugins = |ident: &Ident| ident == "Self" || state == Some(ident);
    match find_ident(body.to_token_stream(), &is_plugins) {
        Some(ident) => refuse(
            ident,
            "the program runs this body for a plugin that lacks the function, and cannot look into the plugin's state: \
             use the other arguments only",
        ),
        None => Ok(()),
    }
}

fn find_ident(tokens: TokenStream, wanted: &impl Fn(&Ident) -> bool) -> Option<Ident> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Ident(ident) => wanted(&ident).then_some(ident),
        TokenTree::Group(group) => find_ident(group.stream(), wanted),
        TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    })
}

/// How a host's function takes its object.
fn receiver_access(receiver: &syn::Receiver) -> syn::Result<Access> {
    match &receiver.kind {
        ReceiverKind::Reference(_, None, Some(_)) => Ok(Access::Exclusive),
        ReceiverKind::Reference(_, None, None) => Ok(Access::Shared),
        _ => refuse(
            receiver,
            "a function that a program offers takes `&self` or `&mut self`",
        ),
    }
}

/// A signature as people write it.
fn as_written(sig: &syn::Signature) -> String {
    spelled(sig.to_token_stream())
}

/// Tokens as people write them; by themselves they print with a space between any two.
pub(crate) fn spelled(tokens: TokenStream) -> String {
    let text = tokens.to_string();
    // Long ones are printed on several lines.
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in [
        (" :: ", "::"),
        ("& ", "&"),
        (" : ", ": "),
        (" , ", ", "),
        (" < ", "<"),
        (" >", ">"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
    ] {
        text = text.replace(from, to);
    }
    for before in ["->", ",", ":"] {
        text = text.replace(&format!("{before}("), &format!("{before} ("));
    }
    text
}
