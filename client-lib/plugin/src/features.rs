//! The processor features that a plugin's code may use, as its own compilation knows them.
//!
//! Those that some processors of the target lack: a program can ask its processor for each of them.

#[doc(hidden)]
#[macro_export]
macro_rules! __features {
    () => {
        if ::core::cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
            $crate::__features!(
                "sse3" "ssse3" "sse4.1" "sse4.2" "sse4a" "popcnt" "avx" "avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt" "movbe"
                "aes" "pclmulqdq" "sha" "rdrand" "rdseed" "adx" "cmpxchg16b" "gfni" "vaes" "vpclmulqdq" "avx512f"
                "avx512cd" "avx512bw" "avx512dq" "avx512vl" "avx512ifma" "avx512vbmi" "avx512vbmi2" "avx512vnni"
                "avx512bitalg" "avx512vpopcntdq" "avx512bf16" "avx512fp16"
            )
        } else if ::core::cfg!(target_arch = "aarch64") {
            $crate::__features!(
                "aes" "sha2" "sha3" "crc" "lse" "rdm" "dotprod" "fp16" "rcpc" "bf16" "i8mm" "sve" "sve2"
            )
        } else {
            &[]
        }
    };
    ($($feature:literal)*) => {
        &[$(($feature, ::core::cfg!(target_feature = $feature))),*]
    };
}
