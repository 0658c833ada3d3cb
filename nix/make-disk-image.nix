# nixpkgs' make-disk-image, built by Diskwright: the same arguments, in the sandbox, without kvm and
# without a virtual machine. What Diskwright has on top goes into `settings`, as --set takes it:
#
#   settings."output.compress" = "zstd";
#
# `settings."boot.loader"` other than "nixos" (systemd-boot, grub, uki) reads the system's bootspec and
# runs no installer; "nixos" runs the system's own under bubblewrap, which needs user namespaces
# inside of the sandbox.
{
  diskwright,
  pkgs,
  config,
  lib ? pkgs.lib,
  name ? "nixos-disk-image",
  additionalPaths ? [ ],
  copyChannel ? true,
  settings ? { },
  ...
}@arguments:
let
  system = config.system.build.toplevel;
  closure = pkgs.closureInfo { rootPaths = [ system ] ++ additionalPaths; };
  given =
    removeAttrs arguments [
      "diskwright"
      "lib"
      "pkgs"
      "settings"
    ]
    // {
      inherit name;
      config = "${system}";
      additionalPaths = map (path: "${path}") additionalPaths;
      copyChannel = false; # the channel is a tree, which only a key can name
    };
  all =
    lib.optionalAttrs copyChannel { "nix.copy_channel" = "${lib.cleanSource pkgs.path}"; } // settings;
  overrides = lib.concatMapStringsSep " " (
    key: "--set ${lib.escapeShellArg "${key}=${toString all.${key}}"}"
  ) (builtins.attrNames all);
in
pkgs.runCommand name
  {
    arguments = builtins.toJSON given;
    passAsFile = [ "arguments" ];
    nativeBuildInputs = [
      diskwright
      pkgs.bubblewrap
      pkgs.nix
    ];
  }
  ''
    export HOME=$TMPDIR NIX_STATE_DIR=$TMPDIR/state NIX_REMOTE=
    nix-store --load-db <${closure}/registration
    cp "$argumentsPath" arguments.json
    diskwright import arguments.json -o image.toml
    diskwright build image.toml -o $out ${overrides}
  ''
