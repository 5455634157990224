//! The pins of NVIDIA's libraries that ONNX Runtime's CUDA provider loads.
//!
//! All are of CUDA 13.0, which every driver of the 580 series runs, and of the newest cuDNN 9. The driver itself belongs to
//! the machine, and is in no package.

use super::{LibraryFile, NativeLibrary, PlatformWheel, pinned};

/// What the provider needs beside the driver, in the order in which it is looked for.
pub static CUDA_LIBRARIES: [&NativeLibrary; 4] = [&CUDA_RUNTIME, &CUBLAS, &CURAND, &CUDNN];

/// The CUDA runtime.
static CUDA_RUNTIME: NativeLibrary = NativeLibrary {
    name: "nvidia-cuda-runtime",
    version: "13.0.96",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_17_x86_64",
            size_bytes: 2_243_632,
            sha256: pinned("7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
            library: file(
                "nvidia/cu13/lib/",
                "libcudart.so.13",
                704_288,
                "96c42e418cec19054186b9429c321603cc190bf26a18104e19408117a2a817b0",
            ),
            companions: &[file(
                "nvidia_cuda_runtime-13.0.96.dist-info/licenses/",
                "License.txt",
                59_262,
                "ad6f5853fba0ca0d159d0f58d49ae49830c2f8c93f7a92648b9ce90adb4c6ccd",
            )],
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_17_aarch64",
            size_bytes: 2_261_060,
            sha256: pinned("ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55"),
            library: file(
                "nvidia/cu13/lib/",
                "libcudart.so.13",
                707_752,
                "7bdba2b5b08cbdc85203c41cc94598adedb1bcfea7cb574ca693ac73599e4e63",
            ),
            companions: &[file(
                "nvidia_cuda_runtime-13.0.96.dist-info/licenses/",
                "License.txt",
                59_262,
                "ad6f5853fba0ca0d159d0f58d49ae49830c2f8c93f7a92648b9ce90adb4c6ccd",
            )],
        },
    ],
};

/// Matrix products.
static CUBLAS: NativeLibrary = NativeLibrary {
    name: "nvidia-cublas",
    version: "13.0.2.14",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_27_x86_64",
            size_bytes: 420_882_912,
            sha256: pinned("0cf238ffdbe46c00cb9aa98e7bca745c223a5ca5a53e686ac8b3e5a08fe80d6c"),
            library: file(
                "nvidia/cu13/lib/",
                "libcublas.so.13",
                54_440_120,
                "1d5f1452af53a0b1cf36bc7d8116d2a22a5f2cffbaa8fca25a1b70360a2e8d7a",
            ),
            companions: &[
                file(
                    "nvidia/cu13/lib/",
                    "libcublasLt.so.13",
                    539_533_072,
                    "4c15f403ac2a8040a3291d07f6c351b5c1f730b45f2ea41f302e415e9600655b",
                ),
                file(
                    "nvidia_cublas-13.0.2.14.dist-info/licenses/",
                    "License.txt",
                    59_262,
                    "ad6f5853fba0ca0d159d0f58d49ae49830c2f8c93f7a92648b9ce90adb4c6ccd",
                ),
            ],
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_27_aarch64",
            size_bytes: 540_253_486,
            sha256: pinned("17165c296de689662b96e0ef4f21dfbff3092ff00d0e3e59470f5acb08c0f87d"),
            library: file(
                "nvidia/cu13/lib/",
                "libcublas.so.13",
                62_180_552,
                "2d389825cfad33aeb95b247d9aa0f9e8fc430adcec8ea25d31e9ee26e6444681",
            ),
            companions: &[
                file(
                    "nvidia/cu13/lib/",
                    "libcublasLt.so.13",
                    628_174_680,
                    "62bb7cc55979aa9e50d480fff6ef044e83e260f171a30d12391c2a884eaa30ff",
                ),
                file(
                    "nvidia_cublas-13.0.2.14.dist-info/licenses/",
                    "License.txt",
                    59_262,
                    "ad6f5853fba0ca0d159d0f58d49ae49830c2f8c93f7a92648b9ce90adb4c6ccd",
                ),
            ],
        },
    ],
};

/// Random numbers, which the provider is linked with.
static CURAND: NativeLibrary = NativeLibrary {
    name: "nvidia-curand",
    version: "10.4.0.35",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_27_x86_64",
            size_bytes: 59_544_258,
            sha256: pinned("1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"),
            library: file(
                "nvidia/cu13/lib/",
                "libcurand.so.10",
                132_698_328,
                "b53732a66b302b11926e00f762e2c2ba67058347ff93cf4ae709de45e93e06da",
            ),
            companions: &[file(
                "nvidia_curand-10.4.0.35.dist-info/licenses/",
                "License.txt",
                59_262,
                "ad6f5853fba0ca0d159d0f58d49ae49830c2f8c93f7a92648b9ce90adb4c6ccd",
            )],
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_27_aarch64",
            size_bytes: 61_962_106,
            sha256: pinned("133df5a7509c3e292aaa2b477afd0194f06ce4ea24d714d616ff36439cee349a"),
            library: file(
                "nvidia/cu13/lib/",
                "libcurand.so.10",
                147_889_368,
                "80aedb15af13cf3b43cf8394fc9b5f9f299d6eaa5d2ddd6411b26af25b5334a2",
            ),
            companions: &[file(
                "nvidia_curand-10.4.0.35.dist-info/licenses/",
                "License.txt",
                59_262,
                "ad6f5853fba0ca0d159d0f58d49ae49830c2f8c93f7a92648b9ce90adb4c6ccd",
            )],
        },
    ],
};

/// Convolutions and normalisations; its parts load each other from their own folder.
static CUDNN: NativeLibrary = NativeLibrary {
    name: "nvidia-cudnn-cu13",
    version: "9.28.1.4",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_27_x86_64",
            size_bytes: 516_817_937,
            sha256: pinned("a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec"),
            library: file(
                "nvidia/cudnn/lib/",
                "libcudnn.so.9",
                137_432,
                "f756cabeed9b481134769fdbc0c2ae022cf52ac39aab08be26ea990a56da2efc",
            ),
            companions: &[
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_adv.so.9",
                    92_392_360,
                    "d69ed7d8adc4524ddb6cbf5e10211e35f580d14e40924692f0cdf1b78cf23ab2",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_cnn.so.9",
                    4_204_144,
                    "2512f47e6e33000e12be5b2e59ac71eb8f5805a548561e7637e4413d1b7cdeb7",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_engines_precompiled.so.9",
                    260_072_128,
                    "51bd1d25591ae2994120aac5c5be172e31b973e0fdeba43a50647949096ee40a",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_engines_runtime_compiled.so.9",
                    41_978_752,
                    "738655d1b9441a752fde9b9911780635e60fe96113f2b06c1af6d70458ef5174",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_engines_tensor_ir.so.9",
                    249_581_552,
                    "ff088c803f896fd9a92c0ab861026ff3b7ee5a4222713c3dd8221e1c843e74ec",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_ext.so.9",
                    10_492_592,
                    "46c273e178b7733ffa5d56bd9719f378a20b94e07d2ccf23c4078e22bced0652",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_graph.so.9",
                    149_118_552,
                    "06c28f04f028466cf33461a7d645210146015d425a0dae6c7dc7e60c07c4d973",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_heuristic.so.9",
                    96_473_968,
                    "7738da4dd6fee9597680ff595863743b2bc4bd5b0ec3edb4e8e9d28a2b5e629d",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_ops.so.9",
                    35_661_648,
                    "e849b0a7353eec5bb5c9f75d841d075d786e205d84f8fd07b092770554674e48",
                ),
                file(
                    "nvidia_cudnn_cu13-9.28.1.4.dist-info/licenses/",
                    "License.txt",
                    18_174,
                    "49cf79bdb35734b52fe6203013b3bd759f81e998cd32aa2c65c51db9a88c61d2",
                ),
            ],
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_27_aarch64",
            size_bytes: 597_008_823,
            sha256: pinned("759b6a4919951ed8ec603dec97b96f6a6396c8269b95b3d345526e2471fb433d"),
            library: file(
                "nvidia/cudnn/lib/",
                "libcudnn.so.9",
                6_331_352,
                "c835893ed01ace9a9cd8089ab981246714c69a5c89af5b97dc8a287d3d0ab03a",
            ),
            companions: &[
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_adv.so.9",
                    113_365_208,
                    "a00b98ae905bd4cf67dfade2e8487e3e0edf653c0b6b9c7cff3c3c27d0112164",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_cnn.so.9",
                    2_370_976,
                    "4a133b1315929dd6b6e14db1ef34e187994ebd7d56884f8795036b135065cf8d",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_engines_precompiled.so.9",
                    316_686_856,
                    "f80adfd5e763491d673a7bfdd6775ae211c0f3e9076178e728442eb000e196df",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_engines_runtime_compiled.so.9",
                    44_065_168,
                    "aa447551f059224b4f634833d32ff299fb530577f00f41dc25cb93614200071c",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_engines_tensor_ir.so.9",
                    243_281_488,
                    "fb2a309a83b55c52e8da9d3a710e8374921e9af407b631ca1506a682455788d7",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_ext.so.9",
                    8_397_224,
                    "3d525ee3f3063cd337c68f95962009717f8c19294c529ca66f911e13df2b2ba0",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_graph.so.9",
                    142_826_120,
                    "10cc1f9de31263eae09caf0d0f708c888dcfdcc7fbc4994ba2a3f778b0044a80",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_heuristic.so.9",
                    100_666_832,
                    "0f3b134c38d1050ca6953915e5f75f060b23d8bb3783481f13b78c99e20a46ee",
                ),
                file(
                    "nvidia/cudnn/lib/",
                    "libcudnn_ops.so.9",
                    46_148_552,
                    "0990c59963ae3140e85c517cf31f47614138482559841cc19506e4f54c590401",
                ),
                file(
                    "nvidia_cudnn_cu13-9.28.1.4.dist-info/licenses/",
                    "License.txt",
                    18_174,
                    "49cf79bdb35734b52fe6203013b3bd759f81e998cd32aa2c65c51db9a88c61d2",
                ),
            ],
        },
    ],
};

const fn file(folder: &'static str, name: &'static str, size_bytes: u64, sha256: &str) -> LibraryFile {
    LibraryFile { folder, name, size_bytes, sha256: pinned(sha256) }
}
