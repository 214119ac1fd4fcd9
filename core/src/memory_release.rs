//! Gives memory that was freed back to the operating system.

/// Hands free pages of the allocator back; does nothing where the allocator is not glibc's.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn release_free_memory() {
    #[expect(
        unsafe_code,
        reason = "malloc_trim is a C function; it takes no pointer and may be called any time"
    )]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Hands free pages of the allocator back; does nothing where the allocator is not glibc's.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn release_free_memory() {}
