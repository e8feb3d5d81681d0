//! What a version's notes declare, as it is shown; and what to know before relying on it.

use plugind_loader::elf::Elf;
use plugind_loader::manifest::{self, Contract, Field, Function, Identity, Manifest, Sort, Type};
use plugind_wire::contract as shown;
use plugind_wire::manifest::Build;

/// How a plugin was built.
pub(crate) fn build(identity: &Identity) -> Build {
    let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Build {
        rustc: known(&identity.toolchain.rustc),
        target: known(&identity.toolchain.target),
        profile: identity.profile.clone(),
        panic: identity.panic.clone(),
        features: identity.features.clone(),
        allocator: identity.allocator.clone(),
        sdk: identity.sdk.clone(),
        generation: identity.generation,
    }
}

/// A contract with all its types.
pub(crate) fn contract(contract: &Contract) -> shown::Contract {
    let name = |place: usize| contract.types.get(place).map(|ty| ty.name.clone());
    shown::Contract {
        contract: contract.name.clone(),
        krate: contract.krate.clone(),
        functions: contract.functions.iter().map(function).collect(),
        state: contract.state.and_then(name),
        types: contract.types.iter().map(|one| ty(one, contract)).collect(),
    }
}

fn function(function: &Function) -> shown::Function {
    shown::Function {
        function: function.name.clone(),
        signature: function.text.clone(),
        fingerprint: format!("{:032x}", function.print),
        fixed: function.fixed,
        optional: function.optional,
    }
}

fn ty(ty: &Type, contract: &Contract) -> shown::Type {
    let field = |field: &Field| shown::Field {
        field: field.name.clone(),
        name: contract.types[field.ty].name.clone(),
        offset: field.offset,
    };
    let variant = |variant: &manifest::Variant| shown::Variant {
        variant: variant.name.clone(),
        discriminant: variant.discriminant.map(|number| number.to_string()),
        fields: variant.fields.iter().map(field).collect(),
    };
    shown::Type {
        name: ty.name.clone(),
        krate: ty.krate.clone(),
        kind: match ty.sort {
            Sort::Library => shown::Kind::Library,
            Sort::Struct => shown::Kind::Struct,
            Sort::Enum => shown::Kind::Enum,
            Sort::Opaque => shown::Kind::Opaque,
            Sort::Named => shown::Kind::Named,
            Sort::Host => shown::Kind::Host,
            Sort::Unknown => shown::Kind::Unknown,
        },
        size: ty.size,
        align: ty.align,
        fixed: ty.fixed,
        repr: ty.repr.clone(),
        fingerprint: format!("{:032x}", ty.print),
        fields: ty.fields.iter().map(field).collect(),
        variants: ty.variants.iter().map(variant).collect(),
        calls: ty.offers.iter().map(function).collect(),
    }
}

/// So many names are told.
const FEW: usize = 4;

/// What breaks the promise that every version is initialised on its own, and that a panic costs one call.
pub(crate) fn warnings(elf: &Elf, declared: Option<&Manifest>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let [first, ..] = &*elf.unique_symbols {
        let names = &elf.unique_symbols[..elf.unique_symbols.len().min(FEW)];
        let more = match elf.unique_symbols.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = if names.len() == 1 {
            first.clone()
        } else {
            names.join(", ")
        };
        warnings.push(format!(
            "all versions share its GNU_UNIQUE symbols {names}{more}; build it with -fno-gnu-unique"
        ));
    }
    if elf.static_tls {
        warnings.push(
            "it uses initial-exec thread-local storage, of which a process has room for a handful of versions; \
             leave out allocators of its own such as jemalloc, or build with -ftls-model=global-dynamic"
                .to_owned(),
        );
    }
    if declared.is_some_and(|declared| declared.identity.panic.as_deref() == Some("abort")) {
        warnings.push(
            "it was built with panic = \"abort\": a panic in it ends the whole program; build it with panic = \"unwind\""
                .to_owned(),
        );
    }
    warnings
}
