# What one gives make-disk-image, for `diskwright import`.
{
  partitionTableType = "efi";
  format = "qcow2";
  diskSize = "auto";
  additionalSpace = "256M";
  contents = [
    {
      source = ./motd;
      target = "/etc/motd";
      mode = "644";
      user = "0";
      group = "0";
    }
  ];
  installBootLoader = false;
  copyChannel = false;
  postVM = ''
    qemu-img info "$diskImage"
  '';
}
