//! Was this inode emptied since? Tells a file that was written anew from one that is being patched in place.
//!
//! `cp` over a file empties it first, so that everything in it has been written since; a writer that opens the file
//! for each piece and leaves its length alone mixes two versions, and only a pause tells when it is done. Both leave
//! the same inode and the same events.
//!
//! The first page of the file is mapped and locked here. Writing to the file leaves the page where it is; when the file
//! is emptied the kernel takes it out of every process's page table, whatever the file system (`truncate(2)`), and
//! `/proc/self/pagemap` says so (`Documentation/admin-guide/mm/pagemap.rst`). The page is never read, so a file that
//! has become shorter raises no SIGBUS. Locked, because a page may also go to make room; where it cannot be locked, or
//! the answer is anything else than "never there", nothing is claimed.
//!
//! A file that is cut to another length may look emptied as well: the kernel unmaps a large folio to split it. Where the
//! section headers stand last, as linkers put them, that does no harm: without those at its new end, which were written
//! since, the file is not complete. Not told are a writer that cuts a file and fills it to its old length again, one that
//! cuts off bytes behind the section headers, and one that writes past the page cache (`O_DIRECT`), which unmaps the page
//! as well, if they open the file for each piece.
//!
//! Only the daemon holds pages: a program maps nothing of the folder that a build writes to. While one is mapped the
//! artifact's file system cannot be unmounted, and an inode that was deleted keeps its space until the next one is
//! settled. Linux only; elsewhere nothing is claimed, and overwriting in place waits.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mlock, mmap, munmap};
use rustix::param::page_size;

/// Holds the first page of a file as it is now.
#[derive(Debug)]
pub(crate) struct FirstPage(NonNull<c_void>);

// SAFETY: the mapping belongs to the process, and its memory is never accessed.
unsafe impl Send for FirstPage {}
// SAFETY: as above.
unsafe impl Sync for FirstPage {}

impl FirstPage {
    /// Takes hold of it; nothing if it cannot be held.
    pub(crate) fn of(file: &File) -> Option<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that anybody uses.
        let address = unsafe {
            mmap(
                ptr::null_mut(),
                page_size(),
                ProtFlags::READ,
                MapFlags::SHARED,
                file.as_fd(),
                0,
            )
        };
        let page = Self(NonNull::new(address.ok()?)?);
        // SAFETY: the mapping is this long and stands until the drop. This fails, without a signal, if there is no page.
        unsafe { mlock(page.0.as_ptr(), page_size()) }.ok()?;
        page.entry().is_some_and(is_present).then_some(page)
    }

    /// True if the file was emptied since, or cut; false if it was not, or if that is not known.
    pub(crate) fn was_emptied(&self) -> bool {
        self.entry()
            .is_some_and(|entry| entry & (PRESENT | SWAPPED) == 0)
    }

    /// What the kernel says of the page.
    fn entry(&self) -> Option<u64> {
        let mut entry = [0; 8];
        let index = self.0.as_ptr().addr() / page_size();
        let pagemap = File::open("/proc/self/pagemap").ok()?;
        pagemap.read_exact_at(&mut entry, index as u64 * 8).ok()?;
        Some(u64::from_ne_bytes(entry))
    }
}

impl Drop for FirstPage {
    fn drop(&mut self) {
        // SAFETY: the mapping is this long, is this value's own, and nobody refers to its memory. It cannot fail then.
        let _ = unsafe { munmap(self.0.as_ptr(), page_size()) };
    }
}

/// The page is in memory.
const PRESENT: u64 = 1 << 63;
/// It is elsewhere for a while, such as on its way to another place in memory.
const SWAPPED: u64 = 1 << 62;

fn is_present(entry: u64) -> bool {
    entry & PRESENT != 0
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn writing_in_place_is_told_from_writing_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, [1; 9000]).unwrap();
        let page = FirstPage::of(&File::open(&path).unwrap()).expect("a page that can be locked");
        assert!(!page.was_emptied());
        let in_place = File::options().write(true).open(&path).unwrap();
        in_place.write_all_at(&[2; 9000], 0).unwrap();
        in_place.sync_all().unwrap();
        in_place.write_all_at(&[2; 9000], 9000).unwrap();
        assert!(!page.was_emptied(), "written to and made longer");
        fs::write(&path, [3; 9000]).unwrap();
        assert!(page.was_emptied(), "opened with O_TRUNC and written anew");
        assert!(
            !FirstPage::of(&File::open(&path).unwrap())
                .unwrap()
                .was_emptied()
        );
    }

    #[test]
    fn an_empty_file_has_no_page() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, []).unwrap();
        assert!(FirstPage::of(&File::open(&path).unwrap()).is_none());
    }
}
