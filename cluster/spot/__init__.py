"""What runs beside Ray on a cloud's machine: it drains its own Ray node before the cloud takes the machine away."""
