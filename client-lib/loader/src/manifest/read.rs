//! Reads descriptors: any bytes give an answer.

use plugind_abi::note::{self, NoteError, fields, texts};

use super::{Argument, Contract, Field, Function, Identity, Sort, Toolchain, Type, Variant};

/// No honest note comes near.
const MAX_DESCRIPTOR: usize = 4 << 20;

/// Why notes cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The layout of its fields.
    #[error(transparent)]
    Note(NoteError),
    /// A record ends before its end, or says something impossible.
    #[error("the plugin's manifest is malformed: {0}")]
    Malformed(&'static str),
    /// Longer than any plugin's.
    #[error("the plugin's manifest has {0} bytes, more than plugind reads")]
    Size(usize),
    /// Two notes say two things.
    #[error(
        "two notes of the plugin differ in its {0}; only one crate of a plugin may use register!"
    )]
    Contradiction(&'static str),
    /// One contract twice.
    #[error(
        "the plugin implements the contract `{0}` twice; one `#[plugin] impl {0} for ..` must go"
    )]
    Implemented(String),
}

type Answer<T> = Result<T, ReadError>;

pub(super) fn identity(descriptor: &[u8], little_endian: bool) -> Answer<Identity> {
    check_size(descriptor)?;
    let note::Declared { plugin, semver } = note::read(descriptor, little_endian)?;
    let tags = [
        note::RUSTC,
        note::TARGET,
        note::PROFILE,
        note::PANIC,
        note::FEATURES,
        note::ALLOCATOR,
        note::SDK,
    ];
    let [rustc, target, profile, panic, features, allocator, sdk] =
        texts(descriptor, little_endian, tags)?;
    let owned = |text: Option<&str>| text.map(shown);
    let features = features.unwrap_or_default().split(',');
    let mut identity = Identity {
        plugin: plugin.to_owned(),
        semver: semver.to_owned(),
        toolchain: Toolchain {
            rustc: shown(rustc.unwrap_or_default()),
            target: shown(target.unwrap_or_default()),
        },
        profile: owned(profile),
        panic: owned(panic),
        features: features
            .filter(|feature| !feature.is_empty())
            .map(str::to_owned)
            .collect(),
        allocator: owned(allocator),
        sdk: owned(sdk),
        generation: None,
    };
    for field in fields(descriptor, little_endian)? {
        if let (note::GENERATION, value) = field? {
            identity.generation = Some(Record::new(value, little_endian).word()?);
        }
    }
    Ok(identity)
}

pub(super) fn contract(descriptor: &[u8], little_endian: bool) -> Answer<Contract> {
    check_size(descriptor)?;
    let mut contract = Contract::default();
    let mut named = false;
    for field in fields(descriptor, little_endian)? {
        let (tag, value) = field?;
        let mut record = Record::new(value, little_endian);
        let known = contract.types.len();
        match tag {
            note::CONTRACT if named => return Err(NoteError::Twice(tag).into()),
            note::CONTRACT => {
                named = true;
                contract.name = text(tag, value)?;
            }
            note::CRATE => contract.krate = text(tag, value)?,
            note::TYPE => contract.types.push(record.ty(known)?),
            note::FUNCTION => contract.functions.push(record.function(known)?),
            note::STATE => contract.state = Some(record.place(known)?),
            _ => {}
        }
    }
    if !named {
        return Err(NoteError::Missing(note::CONTRACT).into());
    }
    Ok(contract)
}

fn check_size(descriptor: &[u8]) -> Answer<()> {
    match descriptor.len() {
        0..=MAX_DESCRIPTOR => Ok(()),
        len => Err(ReadError::Size(len)),
    }
}

fn text(tag: u32, value: &[u8]) -> Answer<String> {
    let text = std::str::from_utf8(value).map_err(|_| NoteError::NotText(tag))?;
    Ok(shown(text))
}

/// Texts end on terminals.
fn shown(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The value of one field, read from its start; what stands behind the parts that are known is skipped.
struct Record<'a> {
    rest: &'a [u8],
    little_endian: bool,
}

impl<'a> Record<'a> {
    fn new(rest: &'a [u8], little_endian: bool) -> Self {
        Self {
            rest,
            little_endian,
        }
    }

    fn take(&mut self, len: usize) -> Answer<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(ReadError::Malformed("a record is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn word(&mut self) -> Answer<u32> {
        let bytes = self.take(4)?;
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Ok(if self.little_endian {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    fn long(&mut self) -> Answer<u64> {
        let (first, second) = (u64::from(self.word()?), u64::from(self.word()?));
        Ok(if self.little_endian {
            second << 32 | first
        } else {
            first << 32 | second
        })
    }

    fn print(&mut self) -> Answer<u128> {
        let (high, low) = (self.long()?, self.long()?);
        Ok(u128::from(high) << 64 | u128::from(low))
    }

    fn text(&mut self) -> Answer<String> {
        let len = self.word()? as usize;
        let text = std::str::from_utf8(self.take(len)?)
            .map_err(|_| ReadError::Malformed("a text is not UTF-8"))?;
        self.take((len.next_multiple_of(4) - len).min(self.rest.len()))?;
        Ok(shown(text))
    }

    /// A place among the first `known` types.
    fn place(&mut self, known: usize) -> Answer<usize> {
        let place = self.word()? as usize;
        if place < known {
            return Ok(place);
        }
        Err(ReadError::Malformed("a type is mentioned before it stands"))
    }

    /// So many records; each takes a byte at least, so that a number alone costs nothing.
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Answer<T>) -> Answer<Vec<T>> {
        let count = self.word()? as usize;
        let mut list = Vec::new();
        for _ in 0..count {
            if self.rest.is_empty() {
                return Err(ReadError::Malformed("a list is cut short"));
            }
            list.push(read(self)?);
        }
        Ok(list)
    }

    fn ty(&mut self, known: usize) -> Answer<Type> {
        let print = self.print()?;
        let (size, align) = (self.long()?, self.long()?);
        let sort = match self.word()? {
            0 => Sort::Library,
            1 => Sort::Struct,
            2 => Sort::Enum,
            3 => Sort::Opaque,
            4 => Sort::Named,
            5 => Sort::Host,
            _ => Sort::Unknown,
        };
        let flags = self.word()?;
        Ok(Type {
            print,
            size,
            align,
            sort,
            fixed: flags & 1 != 0,
            owns: flags & 2 != 0,
            drops: flags & 4 != 0,
            name: self.text()?,
            krate: self.text()?,
            repr: self.text()?,
            fields: self.fields(known)?,
            variants: self.list(|record| {
                let name = record.text()?;
                let discriminant = match record.word()? {
                    0 => None,
                    _ => Some(record.print()? as i128),
                };
                let fields = record.fields(known)?;
                Ok(Variant {
                    name,
                    discriminant,
                    fields,
                })
            })?,
            offers: self.list(|record| record.function(known))?,
        })
    }

    fn fields(&mut self, known: usize) -> Answer<Vec<Field>> {
        self.list(|record| {
            Ok(Field {
                name: record.text()?,
                offset: Some(record.long()?).filter(|offset| *offset != u64::MAX),
                ty: record.place(known)?,
            })
        })
    }

    fn function(&mut self, known: usize) -> Answer<Function> {
        let (print, flags) = (self.print()?, self.word()?);
        Ok(Function {
            print,
            fixed: flags & 1 != 0,
            optional: flags & 2 != 0,
            name: self.text()?,
            text: self.text()?,
            state: self.text()?,
            arguments: self.list(|record| {
                Ok(Argument {
                    name: record.text()?,
                    how: record.text()?,
                    ty: record.place(known)?,
                })
            })?,
            result: match self.rest {
                [0xff, 0xff, 0xff, 0xff, ..] => {
                    self.take(4)?;
                    None
                }
                _ => Some(self.place(known)?),
            },
        })
    }
}
