# Diskwright for nixpkgs: `callPackage ./package.nix { }`.
{
  lib,
  python3Packages,
  parted,
  pkg-config,
  installShellFiles,
  dosfstools,
  e2fsprogs,
  qemu-utils,
  util-linux,
  zstd,
}:
let
  # Found on the search path: what `diskwright doctor` lists for a first build.
  tools = [
    dosfstools
    e2fsprogs
    qemu-utils
    util-linux
    zstd
  ];
in
python3Packages.buildPythonApplication {
  pname = "diskwright";
  version = builtins.head (
    builtins.match ''.*__version__ = "([^"]+)".*'' (builtins.readFile ./engine/__init__.py)
  );
  pyproject = true;

  src = lib.cleanSource ./.;

  build-system = [ python3Packages.setuptools ];

  dependencies = with python3Packages; [
    argcomplete
    humanize
    msgspec
    platformdirs
    pyparted
    pyte
    textual
    textual-serve
    tomlkit
    tree-sitter
    (tree-sitter-grammars.tree-sitter-nix or tree-sitter-nix)
    zstandard
  ];

  # nixpkgs may be ahead of or behind the versions that pyproject.toml names.
  pythonRelaxDeps = true;

  nativeBuildInputs = [ installShellFiles ];

  makeWrapperArgs = [
    "--prefix PATH : ${lib.makeBinPath tools}"
    "--prefix LD_LIBRARY_PATH : ${lib.makeLibraryPath [ e2fsprogs ]}"
  ];

  postInstall = ''
    installManPage man/diskwright.1 man/diskwright.toml.5
    installShellCompletion --bash completions/diskwright
    installShellCompletion --zsh completions/_diskwright
    installShellCompletion --fish completions/diskwright.fish
  '';

  pythonImportsCheck = [ "diskwright" ];

  passthru = { inherit tools; };

  meta = {
    description = "Designs and builds Linux disk images: no root, exact sizes, proof that they boot";
    license = lib.licenses.gpl3Plus;
    mainProgram = "diskwright";
    platforms = lib.platforms.linux;
  };
}
