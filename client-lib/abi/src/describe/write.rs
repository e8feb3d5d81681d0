//! Writes a contract's description down, at compile time, as `client-lib/src/docs/manifest.rs` specifies it.
//!
//! Each distinct type stands once, after every type that it mentions, and is mentioned by its place. So a reader needs
//! no recursion to find out that the description ends.

use super::types::Types;
use super::{Contract, Field, Form, Function, Name, Type};
use crate::note::{CONTRACT, CRATE, FUNCTION, STATE, TYPE, VERSION};

/// In the place of an offset or of a type: there is none.
const NONE: u64 = u64::MAX;

/// The bytes that [`write_contract`] takes.
///
/// # Panics
///
/// If the description does not hold together, which is then a compile error.
pub const fn contract_len(contract: &Contract, state: Option<&'static Type>) -> usize {
    let mut writer = Writer::<0>::new();
    writer.contract(contract, state);
    writer.at
}

/// A contract, and the state of the plugin that implements it.
///
/// # Panics
///
/// If `N` is not [`contract_len`] of the same, which is then a compile error.
pub const fn write_contract<const N: usize>(
    contract: &Contract,
    state: Option<&'static Type>,
) -> [u8; N] {
    let mut writer = Writer::<N>::new();
    writer.contract(contract, state);
    assert!(writer.at == N, "N must be contract_len of the same");
    writer.bytes
}

/// Bytes under construction, in the byte order of the target; with `N` zero they are only counted.
#[derive(Debug)]
pub struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    /// Nothing yet.
    #[expect(clippy::new_without_default, reason = "it stands in constants")]
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            at: 0,
        }
    }

    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        self.at
    }

    /// True before the first byte.
    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// The bytes.
    ///
    /// # Panics
    ///
    /// If there are not `N` of them.
    pub const fn finish(self) -> [u8; N] {
        assert!(self.at == N, "as many as were counted");
        self.bytes
    }

    const fn raw(&mut self, value: &[u8]) {
        let mut i = 0;
        while N > 0 && i < value.len() {
            self.bytes[self.at + i] = value[i];
            i += 1;
        }
        self.at += value.len();
    }

    /// Four bytes.
    pub const fn word(&mut self, value: u32) {
        self.raw(&value.to_ne_bytes());
    }

    const fn long(&mut self, value: u64) {
        self.raw(&value.to_ne_bytes());
    }

    const fn print(&mut self, value: u128) {
        self.long((value >> 64) as u64);
        self.long(value as u64);
    }

    const fn pad(&mut self) {
        self.at = self.at.next_multiple_of(4);
    }

    const fn text(&mut self, text: &str) {
        self.word(text.len() as u32);
        self.raw(text.as_bytes());
        self.pad();
    }

    /// A field of a descriptor whose value is a text.
    pub const fn field(&mut self, tag: u32, value: &str) {
        self.word(tag);
        self.text(value);
    }

    /// A field whose value is a list of texts, joined by commas.
    pub const fn list(&mut self, tag: u32, values: &[(&str, bool)]) {
        let start = self.begin(tag);
        let (mut i, mut first) = (0, true);
        while i < values.len() {
            if values[i].1 {
                if !first {
                    self.raw(b",");
                }
                first = false;
                self.raw(values[i].0.as_bytes());
            }
            i += 1;
        }
        self.end(start);
    }

    /// A field whose value is a number.
    pub const fn number(&mut self, tag: u32, value: u32) {
        self.word(tag);
        self.word(4);
        self.word(value);
    }

    /// Starts a field whose length is not known yet.
    const fn begin(&mut self, tag: u32) -> usize {
        self.word(tag);
        self.word(0);
        self.at
    }

    /// Ends it.
    const fn end(&mut self, start: usize) {
        let len = ((self.at - start) as u32).to_ne_bytes();
        let mut i = 0;
        while N > 0 && i < 4 {
            self.bytes[start - 4 + i] = len[i];
            i += 1;
        }
        self.pad();
    }

    const fn contract(&mut self, contract: &Contract, state: Option<&'static Type>) {
        let mut types = Types::new();
        types.collect_functions(contract.functions);
        if let Some(state) = state {
            types.collect(state);
        }
        types.check();
        self.word(VERSION);
        self.field(CONTRACT, contract.name);
        self.field(CRATE, contract.krate);
        let mut i = 0;
        while i < types.len {
            let start = self.begin(TYPE);
            self.ty(types.at(i), &types);
            self.end(start);
            i += 1;
        }
        i = 0;
        while i < contract.functions.len() {
            let start = self.begin(FUNCTION);
            self.function(&contract.functions[i], &types);
            self.end(start);
            i += 1;
        }
        if let Some(state) = state {
            self.number(STATE, types.place(state));
        }
    }

    const fn ty(&mut self, ty: &Type, types: &Types) {
        self.print(ty.print);
        self.long(ty.size as u64);
        self.long(ty.align as u64);
        self.word(ty.sort as u32);
        self.word(ty.fixed as u32 | (ty.owns as u32) << 1 | (ty.drops as u32) << 2);
        self.word(name_len(ty.name) as u32);
        self.name(ty.name);
        self.pad();
        self.text(ty.name.krate);
        self.text(ty.repr);
        self.fields(ty.fields, types);
        self.word(ty.variants.len() as u32);
        let mut i = 0;
        while i < ty.variants.len() {
            let variant = &ty.variants[i];
            self.text(variant.name);
            match variant.discriminant {
                Some(number) => {
                    self.word(1);
                    self.print(number as u128);
                }
                None => self.word(0),
            }
            self.fields(variant.fields, types);
            i += 1;
        }
        self.word(ty.offers.len() as u32);
        i = 0;
        while i < ty.offers.len() {
            self.function(&ty.offers[i], types);
            i += 1;
        }
    }

    const fn fields(&mut self, fields: &[Field], types: &Types) {
        self.word(fields.len() as u32);
        let mut i = 0;
        while i < fields.len() {
            let field = &fields[i];
            self.text(field.name);
            match field.offset {
                Some(offset) => self.long(offset as u64),
                None => self.long(NONE),
            }
            self.word(types.place(field.ty));
            i += 1;
        }
    }

    const fn function(&mut self, function: &Function, types: &Types) {
        self.print(function.print);
        self.word(function.fixed as u32 | (function.optional as u32) << 1);
        self.text(function.name);
        self.text(function.text);
        self.text(function.state);
        self.word(function.arguments.len() as u32);
        let mut i = 0;
        while i < function.arguments.len() {
            let argument = &function.arguments[i];
            self.text(argument.name);
            self.text(argument.how);
            self.word(types.place(argument.ty));
            i += 1;
        }
        match function.result {
            Some(ty) => self.word(types.place(ty)),
            None => self.word(NONE as u32),
        }
    }

    /// A name as people write it.
    const fn name(&mut self, name: &Name) {
        let (open, close): (&str, &str) = match name.form {
            Form::Plain => ("<", ">"),
            Form::Prefix => ("", ""),
            Form::Slice | Form::Array(_) => ("[", ""),
            Form::Tuple => ("(", ")"),
        };
        if matches!(name.form, Form::Plain | Form::Prefix) {
            self.raw(name.text.as_bytes());
        }
        if name.of.is_empty() && matches!(name.form, Form::Plain) {
            return;
        }
        self.raw(open.as_bytes());
        let mut i = 0;
        while i < name.of.len() {
            if i > 0 {
                self.raw(b", ");
            }
            self.name(name.of[i]);
            i += 1;
        }
        match name.form {
            Form::Array(count) => {
                self.raw(b"; ");
                self.decimal(count);
                self.raw(b"]");
            }
            Form::Slice => self.raw(b"]"),
            _ => self.raw(close.as_bytes()),
        }
    }

    const fn decimal(&mut self, number: usize) {
        if number > 9 {
            self.decimal(number / 10);
        }
        self.raw(&[b'0' + (number % 10) as u8]);
    }
}

const fn name_len(name: &Name) -> usize {
    let mut writer = Writer::<0>::new();
    writer.name(name);
    writer.at
}
