//! A contract on the page of `plugind inspect`: functions as they are written, and the types that people declared, with
//! every field and where it lies.

use std::fmt::Write;

use plugind_wire::contract::{Contract, Field, Function, Kind, Type};

/// Adds a contract to a page.
pub(crate) fn show(contract: &Contract, page: &mut String) {
    let _ = writeln!(
        page,
        "\ncontract {} (crate {})",
        contract.contract, contract.krate
    );
    for function in &contract.functions {
        let _ = writeln!(page, "  {}{}", function.signature, remarks(function));
    }
    if let Some(state) = &contract.state {
        let _ = writeln!(page, "  state {state}");
    }
    // What everybody knows is left out.
    let told = |ty: &&Type| !matches!(ty.kind, Kind::Library | Kind::Named);
    for ty in contract.types.iter().filter(told) {
        type_of(ty, contract, page);
    }
}

fn remarks(function: &Function) -> &'static str {
    match (function.fixed, function.optional) {
        (true, false) => "",
        (true, true) => "  (optional)",
        (false, false) => "  (one compiler)",
        (false, true) => "  (optional, one compiler)",
    }
}

fn type_of(ty: &Type, contract: &Contract, page: &mut String) {
    let word = match ty.kind {
        Kind::Enum => "enum ",
        Kind::Struct => "struct ",
        Kind::Opaque => "as it is: ",
        Kind::Host => "the program's ",
        _ => "",
    };
    let repr = match (ty.kind, &*ty.repr) {
        (Kind::Opaque, why) => format!(", because {why}"),
        (_, "") => String::new(),
        (_, repr) => format!(", repr({repr})"),
    };
    let other = ty.krate.is_empty() || ty.krate == contract.krate;
    let krate = if other {
        String::new()
    } else {
        format!(", crate {}", ty.krate)
    };
    let size = match ty.kind {
        Kind::Host => String::new(),
        _ => format!(", {} bytes, aligned to {}", ty.size, ty.align),
    };
    let _ = writeln!(page, "\n  {word}{}{size}{repr}{krate}", ty.name);
    for field in &ty.fields {
        let at = field
            .offset
            .map_or_else(String::new, |offset| offset.to_string());
        let _ = writeln!(page, "  {at:>5}  {}", declared(field));
    }
    for variant in &ty.variants {
        let number = variant.discriminant.as_ref();
        let number = number.map_or_else(String::new, |number| format!(" = {number}"));
        let fields: Vec<_> = variant.fields.iter().map(declared).collect();
        let named = variant
            .fields
            .first()
            .is_some_and(|f| f.field.parse::<u32>().is_err());
        let fields = match (fields.is_empty(), named) {
            (true, _) => String::new(),
            (false, true) => format!(" {{ {} }}", fields.join(", ")),
            (false, false) => format!("({})", fields.join(", ")),
        };
        let _ = writeln!(page, "         {}{fields}{number}", variant.variant);
    }
    for function in &ty.calls {
        let _ = writeln!(page, "         {}{}", function.signature, remarks(function));
    }
}

/// A field as it is declared; one without a name by its type alone.
fn declared(field: &Field) -> String {
    match field.field.parse::<u32>() {
        Ok(_) => field.name.clone(),
        Err(_) => format!("{}: {}", field.field, field.name),
    }
}
