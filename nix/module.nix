# A NixOS module: the command for everybody, and the machine itself as an image,
# `nix build .#nixosConfigurations.NAME.config.system.build.diskwrightImage`.
self:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  command = config.programs.diskwright;
  image = config.diskwright.image;
in
{
  options = {
    programs.diskwright = {
      enable = lib.mkEnableOption "Diskwright, which designs and builds disk images";
      package = lib.mkOption {
        type = lib.types.package;
        default = self.packages.${pkgs.system}.default;
        description = "The package of Diskwright.";
      };
    };
    diskwright.image = {
      arguments = lib.mkOption {
        type = lib.types.attrsOf lib.types.anything;
        default = { };
        example = {
          partitionTableType = "efi";
          diskSize = "auto";
          format = "qcow2";
        };
        description = "make-disk-image's arguments.";
      };
      settings = lib.mkOption {
        type = lib.types.attrsOf lib.types.anything;
        default = { };
        example = {
          "output.compress" = "zstd";
        };
        description = "Keys of diskwright.toml(5) and their values, for what has no argument.";
      };
    };
  };

  config = {
    environment.systemPackages = lib.mkIf command.enable [ command.package ];
    system.build.diskwrightImage = self.lib.makeDiskImage (
      {
        inherit config lib pkgs;
        inherit (image) settings;
        diskwright = command.package;
      }
      // image.arguments
    );
  };
}
