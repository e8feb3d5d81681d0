//! The two ends of a function that crosses the boundary: the shim on the side that has it, and the call on the other.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{Ident, Type};

use crate::signature::{Access, Function, Returned};

/// What the function looks like, as both sides compare it; `description` is an expression for it that lives for ever.
pub(crate) fn signature(function: &Function, description: &TokenStream) -> TokenStream {
    let hosts = function.crossing_types();
    quote! {
        {
            const __HOSTS: &[::plugind_abi::host::Offered] =
                &[#(<#hosts as ::plugind_abi::stable::StableType>::OFFERED),*];
            ::plugind_abi::contract::Signature::new(#description, __HOSTS)
        }
    }
}

/// The function's entry among those of the side that has it. `__P` is the implementor.
pub(crate) fn entry(function: &Function, description: &TokenStream) -> TokenStream {
    let (signature, shim_name) = (signature(function, description), name_of(&function.name));
    let drop_result = match &function.result {
        Returned::Value(ty) => quote!(::plugind_abi::contract::drop_result::<#ty>()),
        Returned::State => quote!(::core::ptr::null()),
    };
    quote! {
        ::plugind_abi::contract::Function {
            signature: #signature,
            call: #shim_name::<__P> as *const (),
            drop_result: #drop_result,
        }
    }
}

/// The type of a function's shim, as both sides call it.
pub(crate) fn type_of(function: &Function) -> TokenStream {
    let parameters = parameters(function).into_iter().map(|(_, ty)| ty);
    quote!(unsafe extern "C" fn(#(#parameters),*) -> ::plugind_abi::boundary::Returned)
}

fn parameters(function: &Function) -> Vec<(Ident, TokenStream)> {
    let mut parameters = vec![(format_ident!("__state"), quote!(*mut ()))];
    for argument in &function.arguments {
        parameters.extend(argument.parameters());
    }
    let room = match &function.result {
        Returned::State => quote!(*mut *mut ()),
        Returned::Value(ty) => quote!(*mut #ty),
    };
    parameters.push((format_ident!("__room"), room));
    parameters.push((
        format_ident!("__report"),
        quote!(*mut ::plugind_abi::boundary::Report),
    ));
    parameters
}

/// The shim for any implementor `__P` of the trait, whose functions work on a `state`.
pub(crate) fn definition(name: &Ident, function: &Function, state: &TokenStream) -> TokenStream {
    let shim_name = name_of(&function.name);
    let (names, types): (Vec<_>, Vec<_>) = parameters(function).into_iter().unzip();
    let called = &function.name;
    let state = function.state.map(|access| match access {
        Access::Shared => quote!(&*__state.cast::<#state>(),),
        Access::Exclusive => quote!(&mut *__state.cast::<#state>(),),
    });
    let take = function.arguments.iter().map(|argument| argument.take());
    let call = quote!(<__P as #name>::#called(#state #(#take),*));
    let body = match &function.result {
        Returned::State => {
            quote!(::std::boxed::Box::into_raw(::std::boxed::Box::new(#call)).cast::<()>())
        }
        Returned::Value(_) => call,
    };
    quote! {
        #[allow(unused_variables, clippy::too_many_arguments)]
        // See `plugind_abi::hook`.
        #[unsafe(link_section = "plugind_shims")]
        #[inline(never)]
        unsafe extern "C" fn #shim_name<__P: #name>(#(#names: #types),*) -> ::plugind_abi::boundary::Returned {
            // SAFETY: the caller passes what the signature says, and both sides agreed on its fingerprint (kept by
            // the generated method, which alone calls this).
            unsafe { ::plugind_abi::boundary::guard(__report, __room, || #body) }
        }
    }
}

/// Calls the shim at the address `__call` on a `state`: gives what it returned, the room for a large result, and the report.
pub(crate) fn call(function: &Function, result: &Type, state: &TokenStream) -> TokenStream {
    let pass = function
        .arguments
        .iter()
        .flat_map(|argument| argument.pass());
    let shim = type_of(function);
    quote! {
        {
            // SAFETY: the address is that of the function with this fingerprint (kept by whoever looked it up).
            let __call = unsafe { ::core::mem::transmute::<*const (), #shim>(__call) };
            let mut __room = ::core::mem::MaybeUninit::<#result>::uninit();
            let mut __report = ::plugind_abi::boundary::Report::new();
            // SAFETY: every pointer is valid for the call, as its type says.
            let __returned = unsafe { __call(#state, #(#pass,)* __room.as_mut_ptr(), &raw mut __report) };
            (__returned, __room, __report)
        }
    }
}

fn name_of(function: &Ident) -> Ident {
    format_ident!("__shim_{}", function.unraw())
}
