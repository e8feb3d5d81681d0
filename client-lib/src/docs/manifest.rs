//! The manifest: what a plugin declares in its file, for those who write one in another language.
//!
//! ELF notes in a section that is loaded (`.note.plugind`, type `SHT_NOTE`, flag `SHF_ALLOC`, aligned to 4). Each has
//! the owner `plugind`, with its zero byte, and is laid out as every note: three words (length of the owner, 8; length
//! of the descriptor; type), the owner, the descriptor, padded to 4. `readelf -n` lists them. All numbers are in the
//! image's byte order. Nothing needs a relocation, so the bytes of the file are enough.
//!
//! | type | note | how many |
//! |---|---|---|
//! | 1 | identity | one; several must be equal |
//! | 2 | a contract that the plugin implements | one per contract |
//!
//! An image without an identity is a raw plugin.
//!
//! # A descriptor
//!
//! ```text
//! u32 version            2; another one is refused before anything else is read
//! repeated:
//!   u32 tag
//!   u32 length           bytes of the value, without padding
//!   [u8; length] value
//!   padding              zero bytes up to a multiple of four
//! ```
//!
//! Unknown tags are skipped. A tag that is no list stands at most once. Texts are UTF-8.
//!
//! # Identity
//!
//! | tag | value | |
//! |---|---|---|
//! | 1 | the plugin's name | must be there: 1 to 128 characters, no slash, backslash, `@` or control character |
//! | 2 | its semantic version | must be there |
//! | 8 | the compiler: `rustc -V`, a space, `commit`, a space, the commit | without it only fixed types cross |
//! | 9 | the target triple | must be the program's |
//! | 10 | `debug` or `release` | |
//! | 11 | `unwind` or `abort` | `abort` is warned of |
//! | 12 | processor features that the code may use, joined by commas | refused where the processor lacks one |
//! | 13 | the allocator of owned values: `system`, or `own` for a plugin that may have another, whose state is never handed on | |
//! | 14 | the release of plugind's SDK | |
//! | 15 | the generation of the boundary, a u32 | must be the program's; left out by a plugin that registers nothing |
//!
//! # A contract
//!
//! | tag | value |
//! |---|---|
//! | 3 | the contract's name; must be there |
//! | 4 | the crate that declares it, as `name version` |
//! | 5 | a type; once per type |
//! | 6 | a function; once per function |
//! | 7 | the state's type, a u32: a place among the types |
//!
//! Types are mentioned by their place, from 0, and only after they stood. Below, `text` is a u32 length, the bytes, and
//! padding to four; `list of x` is a u32 count and so many `x`; a fingerprint is two u64, the higher half first. A reader
//! skips what stands in a value behind the parts that it knows.
//!
//! ```text
//! type:
//!   fingerprint
//!   u64 size, u64 alignment
//!   u32 kind             0 of the language or its library, 1 struct, 2 enum, 3 opaque,
//!                        4 named only (described elsewhere in the list), 5 a program's object
//!   u32 flags            1 fixed, 2 may own memory, 4 needs to be dropped
//!   text name            with its arguments, as in `Vec<World>`
//!   text crate           `name version`; empty for the language and its library
//!   text repr            what stands in `repr`; of an opaque type, why its layout holds
//!   list of field
//!   list of variant
//!   list of function     what the plugin may call through a program's object
//! field:
//!   text name            of a tuple its place; empty for an argument of a library's type
//!   u64 offset           all bits set: not known, or an argument
//!   u32 type
//! variant:
//!   text name
//!   u32 1 and the number as two u64, the higher half first; or u32 0 if it is the next number
//!   list of field
//! function:
//!   fingerprint
//!   u32 flags            1 all types are fixed, 2 a plugin may lack it
//!   text name
//!   text signature       for people
//!   text state           empty, `&State` or `&mut State`
//!   list of argument     without the state
//!   u32 type             of the result; all bits set: the state
//! argument:
//!   text name            for people
//!   text how             `value`, `&`, `&mut`, `&[]`, `&mut []`, `&str`
//!   u32 type             of the value, of what is referred to, of the elements, or `u8`
//! ```
//!
//! # Fingerprints
//!
//! FNV-1a with 128 bits over what follows, each number as 16 bytes in little-endian order, each text as its length and its
//! bytes. `plugind_abi::describe` is the code.
//!
//! - A type: its kind; its word (of what is named only and of an opaque type, the names of its arguments too); the length
//!   of an array; size, alignment, whether it is dropped, whether it is fixed; `repr`; of each field the name, the offset if
//!   it is known and the type's fingerprint; of each variant the name, the number if it is written, and the fields. An opaque
//!   type folds the toolchain as well. Neither crate nor version is folded: they are told where something differs.
//! - A function: its name; the state; of each argument how it crosses and the type's fingerprint; the result.
//!
//! A program finds a function by its name and takes it if the fingerprints are equal and, unless all types are fixed, the
//! compilers too. A difference is explained from the descriptions.
//!
//! # Limits
//!
//! A descriptor has at most 4 MiB, a contract of the Rust SDK at most 1024 types.
