//! The distinct types of a contract, in the order in which they are written down.

use super::{Field, Function, Name, Sort, Type};

/// More types than one contract mentions.
const MAX_TYPES: usize = 1024;

/// Each distinct type once, after those that it mentions.
pub(super) struct Types {
    found: [Option<&'static Type>; MAX_TYPES],
    pub(super) len: usize,
}

impl Types {
    pub(super) const fn new() -> Self {
        let found = [None; MAX_TYPES];
        Self { found, len: 0 }
    }

    pub(super) const fn at(&self, place: usize) -> &'static Type {
        match self.found[place] {
            Some(ty) => ty,
            None => panic!("a place in the list"),
        }
    }

    const fn find(&self, ty: &Type) -> Option<usize> {
        let mut i = 0;
        while i < self.len {
            let other = self.at(i);
            // What two programs' objects of one name offer is not in their fingerprints.
            let same = !matches!(ty.sort, Sort::Host) || other.name.is(ty.name);
            if other.print == ty.print && same {
                return Some(i);
            }
            i += 1;
        }
        None
    }

    pub(super) const fn place(&self, ty: &Type) -> u32 {
        match self.find(ty) {
            Some(place) => place as u32,
            None => panic!("it was collected"),
        }
    }

    pub(super) const fn collect(&mut self, ty: &'static Type) {
        if self.find(ty).is_some() {
            return;
        }
        self.collect_fields(ty.fields);
        let mut i = 0;
        while i < ty.variants.len() {
            self.collect_fields(ty.variants[i].fields);
            i += 1;
        }
        self.collect_functions(ty.offers);
        assert!(
            self.len < MAX_TYPES,
            "a contract mentions at most 1024 types"
        );
        self.found[self.len] = Some(ty);
        self.len += 1;
    }

    const fn collect_fields(&mut self, fields: &'static [Field]) {
        let mut i = 0;
        while i < fields.len() {
            self.collect(fields[i].ty);
            i += 1;
        }
    }

    pub(super) const fn collect_functions(&mut self, functions: &'static [Function]) {
        let mut i = 0;
        while i < functions.len() {
            let arguments = functions[i].arguments;
            let mut j = 0;
            while j < arguments.len() {
                self.collect(arguments[j].ty);
                j += 1;
            }
            if let Some(result) = functions[i].result {
                self.collect(result);
            }
            i += 1;
        }
    }

    /// What is only named somewhere must be described elsewhere: else a change of it would go unseen.
    pub(super) const fn check(&self) {
        let mut i = 0;
        while i < self.len {
            if matches!(self.at(i).sort, Sort::Named) {
                self.check_name(self.at(i).name);
            }
            i += 1;
        }
    }

    const fn check_name(&self, name: &Name) {
        let mut found = name.krate.is_empty();
        let mut i = 0;
        while !found && i < self.len {
            let ty = self.at(i);
            found = !matches!(ty.sort, Sort::Named) && ty.name.is(name);
            i += 1;
        }
        assert!(
            found,
            "a type under `#[stable_type(by_name)]` is described nowhere: put the attribute on the other edge of the recursion"
        );
        i = 0;
        while i < name.of.len() {
            self.check_name(name.of[i]);
            i += 1;
        }
    }
}
